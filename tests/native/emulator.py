"""The kernels on BochsCPU, an emulated processor, whatever the processor of this machine can do.

The library is linked to one place in a flat memory, behind a table of its
functions. To call one, the processor is started there with the arguments where
they belong, until it returns to an instruction that halts it.
"""

import ctypes
import importlib
import os
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

from hecli.arithmetic.native.kernels import NativeKernels
from hecli.arithmetic.native.library import MULTIPLES, Library, _Modulus
from tests.native.agreement import check
from tests.native.compiling import COMPILER, compiled

HERE = Path(__file__).parent
PAGE = 4096
PAGES, CODE, STACK, DATA = 0x1000000, 0x400000, 0x8000000, 0xA000000
"""Where the processor finds its table of pages, the library, the stack, and what is passed."""
ROOM = {CODE: 0x40000, STACK: 0x40000, DATA: 0x2000000}
FUNCTIONS = (
    *("halt", "lanes", "rows", "out_of_range", "powers_scratch", "powers", "multiply_scratch", "multiply"),
    *("buckets_scratch", "buckets", "table_scratch", "entry", "fill_table", "encrypt_scratch", "encrypt"),
)
"""As flat.c has them."""
REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLAGS = (
    *("-std=gnu11", "-O3", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib", "-static"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    *(f"-Wl,-T,{HERE / 'flat.ld'}", "-Wl,--oformat=binary"),
)


class Emulated(Library):
    """A library that an emulated processor runs.

    Args:
        folder: Where it is compiled.
        variant: Which.
    """

    def __init__(self, folder, variant):
        self._bochs = _bochs(folder)
        # The processor comes first, and asks for pages that are not there yet.
        self._session = self._bochs.Session()
        self._memory = _Memory(self._bochs)
        self._session.missing_page_handler = self._memory.add
        code = compiled(folder / f"{variant}.bin", variant, HERE / "flat.c", flags=FLAGS).read_bytes()
        self._memory.put(CODE, code)
        self._functions = dict(zip(FUNCTIONS, struct.unpack_from(f"<{len(FUNCTIONS)}Q", code), strict=True))
        self.lanes = self("lanes")
        self._rows = self("rows")

    def __call__(self, name, *arguments):
        self._free = DATA
        back = []
        passed = [self._passed(each, back) for each in arguments]
        # The address to return to, then the arguments that do not fit into registers.
        pushed = [self._functions["halt"], *passed[len(REGISTERS) :]]
        state = _long_mode(self._bochs)
        state.rsp = STACK + ROOM[STACK] - PAGE - 8
        self._memory.put(state.rsp, struct.pack(f"<{len(pushed)}q", *pushed))
        for register, value in zip(REGISTERS, passed, strict=False):
            setattr(state, register, value % (1 << 64))
        state.rip = self._functions[name]
        self._session.cpu.state = state
        self._run(name)
        for address, buffer in back:
            buffer[:] = self._memory.get(address, len(buffer))
        return struct.unpack("<q", struct.pack("<Q", self._session.cpu.state.rax))[0]

    def _run(self, name):
        failed = []
        hook = self._bochs.Hook()

        def stop(session, _cpu):
            session.stop()

        def fail(session, _cpu, vector, _error):
            failed.append(vector)
            session.stop()

        hook.hlt, hook.exception = stop, fail
        self._session.run([hook])
        # 6 is an instruction that the processor does not have, 14 a page that is not there.
        assert not failed, f"{name} ended with exception {failed[0]} at {self._session.cpu.state.rip:#x}"

    def _passed(self, value, back):
        """What is passed for an argument: a number, or the address of a copy."""
        if isinstance(value, int):
            return value
        if isinstance(value, bytes):
            return self._copied(value)
        if isinstance(value, ctypes.Array):
            address = self._copied(value.raw)
            back.append((address, value))
            return address
        modulus = value._obj
        words = [modulus.length]
        for name, _ in _Modulus._fields_[1:]:
            start = ctypes.c_void_p.from_buffer(modulus, getattr(_Modulus, name).offset).value
            many = len(MULTIPLES) if name == "multiples" else 1
            words.append(self._copied(ctypes.string_at(start, 8 * many * modulus.length)))
        return self._copied(struct.pack(f"<{len(words)}Q", *words))

    def _copied(self, data):
        address = self._free
        self._free += -(-len(data) // 64) * 64 + 64
        assert self._free <= DATA + ROOM[DATA]
        self._memory.put(address, data)
        return address


class _Memory:
    """The emulated processor's memory, each address its own page's."""

    def __init__(self, bochs):
        self._memory = bochs.memory
        # Kept: the processor's pages are this table's.
        self._table = table = self._memory.PageMapLevel4Table()
        for start, size in ROOM.items():
            for at in range(start, start + size, PAGE):
                table.insert(at, at, 1)
                self.add(at)
        for host, guest in table.commit(PAGES):
            self._memory.page_insert(guest, host)

    def add(self, address):
        self._memory.page_insert(
            self._memory.align_address_to_page(address), self._memory.allocate_host_page()
        )

    def put(self, address, data):
        for at, part in _pieces(address, len(data)):
            self._memory.phy_write(address + at, list(data[at : at + part]))

    def get(self, address, size):
        return b"".join(
            [bytes(self._memory.phy_read(address + at, part)) for at, part in _pieces(address, size)]
        )


def _bochs(folder):
    """The package, which takes two functions of a newer C library than some systems have."""
    try:
        importlib.import_module("bochscpu")
    except ImportError:
        missing = folder / "isoc23.so"
        subprocess.run([*COMPILER, "-shared", "-fPIC", HERE / "isoc23.c", "-o", missing], check=True)
        ctypes.CDLL(str(missing), ctypes.RTLD_GLOBAL)
    for part in ("cpu", "memory"):
        importlib.import_module(f"bochscpu.{part}")
    return importlib.import_module("bochscpu")


def _long_mode(bochs):
    """The processor as a system gives it to a program, with all its vectors."""
    state = bochs.State()
    bochs.cpu.set_long_mode(state)
    state.cr0, state.cr4, state.cr3 = 0x80050033, 0x406F8 | 1 << 18, PAGES
    state.efer, state.xcr0, state.rflags = 0xD01, 0xE7, 2
    state.mxcsr, state.mxcsr_mask = 0x1F80, 0xFFFF
    state.cs = _segment(bochs, 0x10, 0xA09B)
    state.ss = state.ds = state.es = state.fs = state.gs = _segment(bochs, 0x18, 0xC093)
    return state


def _segment(bochs, selector, attributes):
    segment = bochs.Segment()
    segment.present, segment.selector, segment.base = True, selector, 0
    segment.limit, segment.attr = 0xFFFFFFFF, attributes
    return segment


def _pieces(address, size):
    """Parts of a piece of memory, none over the end of a page."""
    at = 0
    while at < size:
        part = min(PAGE - (address + at) % PAGE, size - at)
        yield at, part
        at += part


def main():
    """Check a variant, in a process of its own: the package ends badly, so the process ends before it."""
    status = 1
    try:
        variant, *sizes = sys.argv[1:]
        with TemporaryDirectory() as folder:
            kernels = NativeKernels(variant, Emulated(Path(folder), variant))
        check(kernels, tuple(map(int, sizes)))
        status = 0
    except Exception:  # noqa: BLE001 - said, whatever it is
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
