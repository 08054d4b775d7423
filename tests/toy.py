"""A toy scheme, which lives in the tests alone: a constant is added to every plaintext.

It hides nothing from anybody who has two plaintexts. It is there to show that
a scheme is one object and one entry in the registry: its plaintexts and blocks
have other sizes than Paillier's, the larger than a chunk of a file.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from hecli.arithmetic.sizes import InvalidCiphertextError
from hecli.errors import HecliError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.schemes.interface import KEY
from hecli.schemes.round import Opens

BITS = 400
PLAIN = BITS // 8
COUNT = 7


@dataclass(frozen=True)
class ToyKey:
    """The constant; its public half is what it is multiplied to."""

    scheme: ClassVar[str] = "toy"
    verified_only: ClassVar[bool] = False

    constant: int

    @property
    def public(self):
        return self

    @property
    def fingerprint(self):
        return f"toy-{self.constant % 997}"

    def check(self):
        if not 0 < self.constant < 1 << BITS:
            raise HecliError("the toy's constant is out of range")


def write_toy_key(key, out, kind):
    envelope.write(out, kind, {"constant": key.constant.to_bytes(PLAIN, "big")})


@dataclass(frozen=True)
class Toy:
    """The scheme: a block is a plaintext plus the constant, how many were added, and zeros behind it."""

    name: ClassVar[str] = "toy"
    knowledge: ClassVar[None] = None
    correctness: ClassVar[None] = None
    masking: ClassVar[None] = None
    sharing: ClassVar[None] = None
    room: ClassVar[int] = BITS
    plaintext_size: ClassVar[int] = PLAIN
    to_encrypt: ClassVar[frozenset[str]] = frozenset({KEY})
    to_open: ClassVar[frozenset[str]] = frozenset({KEY})

    print_: str
    padding: int

    @property
    def block_size(self):
        return PLAIN + COUNT + self.padding

    def to_map(self):
        return {"name": self.name, "fingerprint": self.print_, "padding": self.padding}

    @classmethod
    def parse(cls, value, file):
        fields(value, file, "its scheme", {"name": str, "fingerprint": str, "padding": int})
        return cls(value["fingerprint"], value["padding"])

    @classmethod
    def of_key(cls, key):
        return cls(key.fingerprint, 0)

    def check(self, roster, parties, fewest):
        if self.padding < 0:
            raise HecliError("the toy's padding is negative")

    def read_public_key(self, reader):
        return self._read(reader, "public key")

    def read_private_key(self, reader, ask):
        return self._read(reader, "private key")

    def _read(self, reader, kind):
        reader.require(kind)
        fields(reader.header, reader.name, "its header", {"constant": bytes})
        return ToyKey(int.from_bytes(reader.header["constant"], "big"))

    def check_key(self, key, file):
        if key is None:
            raise RefusedError(f"{file} is for a toy's key")
        if key.fingerprint != self.print_:
            raise MismatchError(f"{file} is under the toy's key {self.print_}, not {key.fingerprint}")

    @contextmanager
    def encrypting(self, round_, sender, work):
        with work(_Hide(sender.key.constant, self.padding), round_.groups) as run:
            yield run

    @contextmanager
    def adding(self, sources, batches, work):
        with work(_Add(self.block_size, sources), batches) as run:
            yield run

    @contextmanager
    def opening(self, round_, opener, work):
        with work(_Show(opener.key.constant, self.block_size), round_.batches) as run:
            yield Opens(lambda batches, first: run(batches))

    def unmasked(self, opened, round_, opener):
        return opened

    def remasked(self, plaintexts, first, round_, opener):
        return iter(plaintexts)

    def describe(self):
        return {"scheme": self.name, "key": self.print_}

    def lines(self, parties):
        return [("key", f"{self.print_}, a toy's")]

    def seconds(self, load):
        return {}


@dataclass(frozen=True)
class _Hide:
    constant: int
    padding: int

    def __call__(self, plaintexts):
        found = []
        for at in range(0, len(plaintexts), PLAIN):
            value = int.from_bytes(plaintexts[at : at + PLAIN], "big") + self.constant
            block = (value % (1 << BITS)).to_bytes(PLAIN, "big") + (1).to_bytes(COUNT, "big")
            found.append(block + bytes(self.padding))
        return b"".join(found)


def _blocks(data, size, source=0):
    for at in range(0, len(data), size):
        block = data[at : at + size]
        if any(block[PLAIN + COUNT :]):
            raise InvalidCiphertextError(source, at // size, "is not padded with zeros")
        yield int.from_bytes(block[:PLAIN], "big"), int.from_bytes(block[PLAIN : PLAIN + COUNT], "big")


@dataclass(frozen=True)
class _Add:
    size: int
    sources: int

    def __call__(self, batches):
        length = len(batches) // self.sources
        parts = [
            list(_blocks(batches[at * length : (at + 1) * length], self.size, at))
            for at in range(self.sources)
        ]
        found = []
        for each in zip(*parts, strict=True):
            value, count = (sum(numbers) for numbers in zip(*each, strict=True))
            block = (value % (1 << BITS)).to_bytes(PLAIN, "big") + count.to_bytes(COUNT, "big")
            found.append(block + bytes(self.size - PLAIN - COUNT))
        return b"".join(found)


@dataclass(frozen=True)
class _Show:
    constant: int
    size: int

    def __call__(self, blocks):
        return b"".join(
            ((value - count * self.constant) % (1 << BITS)).to_bytes(PLAIN, "big")
            for value, count in _blocks(blocks, self.size)
        )
