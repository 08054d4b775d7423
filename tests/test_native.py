"""The kernels, of each library and of gmpy2, against integers; which are chosen; and what C is given."""

import functools
import os
import platform
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecli.arithmetic.choosing import available, kernels, named
from hecli.arithmetic.native import library
from hecli.arithmetic.native.kernels import LARGEST_WINDOW, NativeKernels
from hecli.arithmetic.native.library import Library, digits_of, path_of
from hecli.errors import HecliError
from tests.native import agreement
from tests.native.agreement import bits_of, joined, lists_of, numbers_below, width
from tests.native.compiling import COMPILER, PORTABLE, SANITIZED, SOURCES, build, compiled, watched
from tests.native.timing import least_of
from tests.support import KEY, PUBLIC, command

COMPILED = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
EMULATED = pytest.mark.skipif(
    COMPILER is None or (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="there is no C compiler, or no emulated processor",
)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The kernels in plain C, compiled once."""
    return compiled(tmp_path_factory.mktemp("native") / "portable.so", PORTABLE)


@pytest.fixture(params=[*available(), pytest.param(PORTABLE, marks=COMPILED)])
def each(request):
    """Each library that this machine can run, the portable one, and gmpy2."""
    if request.param == PORTABLE:
        return NativeKernels(PORTABLE, Library(request.getfixturevalue("built")))
    return named(request.param)


SMALL = bits_of([300, 512, 521, 1024])
LARGE = bits_of([1536, 2048, 3072, 4096, 777, 3071, 8191])
BOTH = pytest.mark.parametrize(("moduli", "examples"), [(SMALL, 40), (LARGE, 10)], ids=["small", "large"])


def given_data(examples, check):
    """Run a check on drawn data so many times."""

    @settings(max_examples=examples)
    @given(data=st.data())
    def run(data):
        check(data.draw)

    run()


def test_what_is_fixed(each):
    """The same numbers every time, at borders that are known."""
    agreement.check(each, (512, 521, 1040))


@BOTH
def test_powers(each, moduli, examples):
    def check(draw):
        m = draw(moduli)
        exponents = st.integers(0, 1 << 40) | st.sampled_from([0, 1, 31, 32, (1 << 55) - 1])
        values = draw(lists_of(numbers_below(m * m, m, m - 1, m + 1, m * (m - 1))))
        agreement.check_powers(each, m, draw(exponents), values, 2 * width(m))

    given_data(examples, check)


@BOTH
def test_powers_of_numbers_much_longer_than_the_modulus(each, moduli, examples):
    """As a ciphertext is modulo the square of one factor, however long the other."""

    def check(draw):
        m = draw(moduli)
        size = draw(st.integers(1, 9)) * width(m) + draw(st.integers(0, 9))
        values = draw(lists_of(numbers_below(1 << 8 * size, m, m * m)))
        agreement.check_powers(each, m, draw(st.integers(0, 99)), values, size)

    given_data(examples // 2, check)


@BOTH
def test_products(each, moduli, examples):
    def check(draw):
        m = draw(moduli)
        count = draw(st.integers(1, 20))
        batches = draw(
            st.lists(
                st.lists(numbers_below(m), min_size=count, max_size=count),
                min_size=1,
                max_size=draw(st.integers(1, 9)),
            )
        )
        agreement.check_multiply(each, m, batches)

    given_data(examples, check)


@BOTH
def test_a_product_that_is_no_unit_is_found(each, moduli, examples):
    """Wherever it stands, and whatever the others are."""

    def check(draw):
        p, q = draw(moduli), draw(moduli)
        count = draw(st.integers(1, 20))
        values = [draw(st.integers(1, 1 << 60)) * 2 + 1 for _ in range(count)]
        values[draw(st.integers(0, count - 1))] = draw(st.sampled_from([p, q, p * 2, 0]))
        agreement.check_multiply(each, p * q, [values])

    given_data(examples // 2, check)


@BOTH
def test_products_of_powers(each, moduli, examples):
    def check(draw):
        m = draw(moduli)
        squared = m * m if draw(st.booleans()) else m
        bits, window = draw(st.integers(1, 40)), draw(st.integers(1, LARGEST_WINDOW))
        values = draw(lists_of(numbers_below(1 << 16 * width(m), m, m - 1)))
        exponent = st.integers(0, (1 << 8 * -(-bits // 8)) - 1) | st.just((1 << 8 * -(-bits // 8)) - 1)
        many = len(values) * draw(st.integers(1, 3))
        exponents = draw(st.lists(exponent, min_size=many, max_size=many))
        agreement.check_buckets(each, squared, values, 2 * width(m), exponents, bits, window)

    given_data(examples, check)


@BOTH
def test_encryption_with_a_table(each, moduli, examples):
    def check(draw):
        n = draw(moduli)
        window, windows = draw(st.integers(3, 6)), draw(st.integers(1, 9))
        messages = draw(lists_of(numbers_below(n)))
        most = (1 << window * windows) - 1
        exponent = st.integers(0, most) | st.sampled_from([0, most, most // 2])
        exponents = draw(st.lists(exponent, min_size=len(messages), max_size=len(messages)))
        base = draw(numbers_below(n * n, n + 1, n * n - n - 1))
        agreement.check_comb(each, n, base, window, windows, messages, exponents)

    given_data(examples // 2, check)


def test_the_longest_exponent_of_a_table(each):
    """As many digits as there ever are: the sum of their second parts fits."""
    n = (1 << 1024) - 105
    window = 3
    windows = -(-n.bit_length() // 2 // window)
    agreement.check_comb(each, n, n + 2, window, windows, [n - 1], [(1 << window * windows) - 1])


@pytest.mark.parametrize("key_bits", [2048, 3072, 4096])
def test_whole_exponents_of_keys(each, key_bits):
    """As long as those that open: p - 1, and a share of n."""
    half = (1 << key_bits // 2) - 3
    values = [2, half - 1, half * half - 1, *range(3, 12)]
    agreement.check_powers(each, half, half - 1, values, key_bits // 4)
    n = (1 << key_bits) - 5
    agreement.check_powers(each, n, n * 7 >> 1, [3, n * n - 1], key_bits // 4)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8192, 16384])
def test_the_longest_moduli(each, bits):
    agreement.check(each, (bits,))


@given(data=st.data(), limit=st.integers(1, 1 << 64))
def test_ranges(each, data, limit):
    values = data.draw(st.lists(numbers_below(1 << 8 * (width(limit) + 1), limit, limit - 1), max_size=9))
    agreement.check_out_of_range(each, values, limit)


@given(value=st.integers(0, (1 << 520) - 1))
def test_digits_and_back(value):
    digits = digits_of(value, 10)
    words = [int.from_bytes(digits[at : at + 8], "little") for at in range(0, len(digits), 8)]
    assert all(word < 1 << 52 for word in words)
    assert sum(word << 52 * at for at, word in enumerate(words)) == value


@EMULATED
def test_ifma_on_an_emulated_processor():
    """What this machine's processor may not have."""
    _emulated("ifma512", 521)


@EMULATED
@pytest.mark.slow
@pytest.mark.parametrize("variant", [*build.VARIANTS, PORTABLE])
def test_all_libraries_on_an_emulated_processor(variant):
    _emulated(variant, 512, 777)


def _emulated(*arguments):
    _in_a_process("tests.native.emulator", *arguments)


def _in_a_process(*arguments, **variables):
    result = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@COMPILED
def test_nothing_is_touched_that_should_not_be(tmp_path):
    """In plain C, by gcc's sanitizers of addresses and of what C leaves undefined."""
    environment = watched()
    if environment is None:
        pytest.skip("the compiler has no sanitizers")
    sanitized = compiled(tmp_path / "sanitized.so", PORTABLE, *SANITIZED, "-O1", "-g")
    _in_a_process("tests.native.agreement", sanitized, 300, 521, 1024, **environment)


@COMPILED
@pytest.mark.parametrize("variant", [*build.VARIANTS, PORTABLE])
def test_compilers_have_nothing_to_say(tmp_path, variant):
    if variant != PORTABLE and platform.machine() != "x86_64":
        pytest.skip("the compiler is for another processor")
    compiled(
        tmp_path / "strict.so", variant, "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"
    )


@COMPILED
def test_where_there_is_no_compiler_nothing_is_built(tmp_path, monkeypatch):
    """And nothing fails: the wheel is one for every machine."""

    def built():
        shutil.copytree(SOURCES, tmp_path / "native", dirs_exist_ok=True)
        hook = build.NativeHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
        found = {"pure_python": True, "force_include": {}}
        hook.initialize("standard", found)
        hook.finalize("standard", found, "")
        return found

    for without in ("false", "/nowhere/cc"):
        monkeypatch.setenv("CC", without)
        assert built() == {"pure_python": True, "force_include": {}}
    monkeypatch.setenv("CC", " ".join(COMPILER))
    if platform.machine() in build.PROCESSORS:
        found = built()
        assert not found["pure_python"]
        assert {Path(each).name for each in found["force_include"].values()} == {
            f"_{name}.so" for name in ("processor", *build.VARIANTS)
        }


# --- which is chosen ---


@pytest.fixture
def chosen(monkeypatch):
    """Choose anew, with a setting of HECLI_NATIVE."""

    def choose(wish):
        monkeypatch.setenv("HECLI_NATIVE", wish)
        kernels.cache_clear()
        return kernels().name

    yield choose
    kernels.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the folder of libraries."""
    for name in ("processor", *available()[:-1]):
        if path_of(name).exists():
            shutil.copy(path_of(name), tmp_path)
    monkeypatch.setattr(library, "_FOLDER", tmp_path)
    return tmp_path


def test_the_fastest_is_chosen_or_what_is_named(chosen):
    *native, off = available()
    assert off == "off"
    assert native == [name for name in library.VARIANTS if name in native]
    assert chosen("auto") == chosen("") == (native[0] if native else "gmpy2")
    assert chosen("off") == "gmpy2"
    for name in native:
        assert chosen(name) == name


def test_without_libraries_gmpy2_computes(chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "_FOLDER", tmp_path / "nowhere")
    assert available() == ("off",)
    assert chosen("auto") == "gmpy2"
    with pytest.raises(HecliError, match="fma256, which is not to be had here") as caught:
        chosen("fma256")
    assert caught.value.hint == "install hecli where there is a C compiler"


@COMPILED
def test_a_processor_that_cannot_is_given_gmpy2(chosen, folder):
    """As an old one says, whatever was built."""
    source = "".join(f"int hecli_can_{name}(void) {{ return 0; }}\n" for name in library.VARIANTS)
    (folder / "_processor.so").unlink(missing_ok=True)
    _compile(folder / "_processor.so", source)
    (folder / "_fma256.so").touch()
    assert available() == ("off",)
    assert chosen("auto") == "gmpy2"
    with pytest.raises(HecliError) as caught:
        chosen("fma256")
    assert caught.value.hint == "this processor cannot run it"


@COMPILED
@pytest.mark.parametrize("what", ["not a library", "another version", "wrong results"])
def test_a_library_that_is_not_right_is_not_used(chosen, folder, what):
    _compile(
        folder / "_processor.so",
        "".join(f"int hecli_can_{name}(void) {{ return 1; }}\n" for name in library.VARIANTS),
    )
    for name in library.VARIANTS:
        (folder / f"_{name}.so").unlink(missing_ok=True)
    broken = folder / "_ifma512.so"
    if what == "not a library":
        broken.write_bytes(b"\0" * 5000)
    elif what == "another version":
        _compile(broken, "long hecli_lanes(void) { return 4; }\n")
    else:
        sources = folder / "wrong"
        shutil.copytree(SOURCES, sources)
        kept = (sources / "kernels.c").read_text()
        (sources / "kernels.c").write_text(kept.replace("below = CARRY(sum);", "below = SAME(0);"))
        assert (sources / "kernels.c").read_text() != kept
        compiled(broken, PORTABLE, sources=sources)
    assert chosen("auto") == "gmpy2"
    with pytest.raises(HecliError, match="cannot be loaded here, or gives wrong results") as caught:
        chosen("ifma512")
    assert "HECLI_NATIVE=off" in caught.value.hint


def test_a_name_that_is_none_ends_in_an_error(place):
    result = command("--version", cwd=place, env={"HECLI_NATIVE": "fast"}, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        b"error: HECLI_NATIVE is 'fast', which is no arithmetic\n"
        b"hint: it may be auto, off, ifma512, fma512, fma256\n"
    )
    result = command("encrypt", "x.npy", cwd=place, env={"HECLI_NATIVE": "off"}, check=False)
    assert b"x.npy" in result.stderr


@pytest.mark.parametrize("name", available())
def test_the_version_says_what_computes(place, name):
    told = command("--version", cwd=place, env={"HECLI_NATIVE": name}).stdout.decode()
    assert told.endswith(f"\narithmetic: {'gmpy2' if name == 'off' else name}\n")


def _compile(to, source):
    text = to.with_suffix(".c")
    text.write_text(source)
    subprocess.run([*COMPILER, "-shared", "-fPIC", text, "-o", to], check=True)


# --- what C is given ---


@pytest.mark.parametrize("name", available()[:-1])
def test_lengths_are_checked_before_c_sees_them(name):
    each = named(name)
    n, size = PUBLIC.n, width(PUBLIC.n)
    wide = 2 * size
    buckets = each.buckets(n, size)
    comb = each.comb(n, [(n + 2, 1)], 3)
    batch = bytes(size * 4)
    wrong = [
        lambda: each.powers(KEY.p, 3, wide)(bytes(wide + 1)),
        lambda: each.multiply(n * n, wide, 2)(bytes(wide * 3)),
        lambda: each.out_of_range(bytes(5), 2, 9),
        lambda: buckets(batch[1:], bytes(4), 1, 1, 8, 3),
        lambda: buckets(batch, bytes(3), 1, 1, 8, 3),
        lambda: buckets(batch, bytes(5), 1, 1, 8, 3),
        lambda: buckets(batch, bytes(4), 1, 1, 9, 3),
        lambda: buckets(batch, bytes(4), 1, 1, 0, 3),
        lambda: buckets(batch, bytes(4), 1, 1, 8, 0),
        lambda: buckets(batch, bytes(4), 1, 1, 8, LARGEST_WINDOW + 1),
        lambda: comb(batch, bytes(3)),
        lambda: comb(batch[1:], bytes(4)),
        lambda: each.comb(n, [(n + 2, 1)], 2),
        lambda: each.comb(n, [(n + 2, 1)], LARGEST_WINDOW + 1),
    ]
    for call in wrong:
        with pytest.raises((ValueError, OverflowError)):
            call()
    assert each.powers(KEY.p, 3, wide)(b"") == comb(b"", b"") == b""


def test_libraries_know_no_more_than_they_are_told():
    """No function of C's library but for copying, and none that gives memory."""
    for name in available()[:-1]:
        found = subprocess.run(
            ["nm", "-D", "--undefined-only", path_of(name)], capture_output=True, text=True, check=False
        )
        if found.returncode:
            pytest.skip("nm is not here")
        wanted = {line.split()[-1].partition("@")[0] for line in found.stdout.splitlines()}
        assert wanted <= {
            "memcpy",
            "memset",
            "__cxa_finalize",
            "_ITM_deregisterTMCloneTable",
            "_ITM_registerTMCloneTable",
            "__gmon_start__",
        }


# --- what time tells ---


@pytest.mark.slow
@pytest.mark.parametrize("name", available()[:-1])
@pytest.mark.parametrize("what", ["decryption", "share"])
def test_time_tells_neither_the_secret_exponent_nor_what_is_opened(name, what):
    """By dudect's method, which begins to doubt at 5."""
    n = PUBLIC.n
    m, bits, size = (
        (KEY.p, KEY.p.bit_length(), 2 * width(n)) if what == "decryption" else (n, 512, 2 * width(n))
    )
    sparse, dense, drawn = 1 << (bits - 1) | 1, (1 << bits) - 1, secrets.randbits(bits) | 1 << (bits - 1)
    powers = {each: named(name).powers(m, each, size) for each in (sparse, dense, drawn)}
    batch, ones = joined([secrets.randbelow(n * n) for _ in range(8)], size), joined([1] * 8, size)
    exponents = functools.partial(powers[sparse], batch), functools.partial(powers[dense], batch)
    assert least_of(3, exponents, 1000) < 5
    opened = functools.partial(powers[drawn], ones), functools.partial(powers[drawn], batch)
    assert least_of(3, opened, 1000) < 5


@pytest.mark.slow
def test_what_does_take_a_time_of_its_own_is_seen():
    """gmpy2's powers, whose windows slide over zeros: what was said above is no weak test."""
    square = gmpy2.mpz(KEY.p) ** 2
    bits, base = KEY.p.bit_length(), gmpy2.mpz(secrets.randbelow(PUBLIC.n))
    sparse, dense = 1 << (bits - 1) | 1, (1 << bits) - 1
    calls = (lambda: gmpy2.powmod(base, sparse, square)), (lambda: gmpy2.powmod(base, dense, square))
    assert least_of(3, calls, 1000) > 20
