"""The cryptosystem, with phe as the oracle in both directions."""

import math
import os
import secrets

import gmpy2
import phe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hecli
from hecli.arithmetic import engines
from hecli.arithmetic.choosing import kernels
from hecli.arithmetic.engines import multiplier
from hecli.arithmetic.gmp.moduli import derived_base
from hecli.arithmetic.sizes import InvalidCiphertextError, InvalidModulusError, exponent_bits
from hecli.errors import HecliError
from hecli.schemes.paillier.keys import PrivateKey, PublicKey
from tests.support import KEY, PUBLIC, decryptor, encryptor, joined, load_key, numbers

N = PUBLIC.n
WIDTH = 256
ENCRYPTORS = {kind: encryptor(N, kind, 20) for kind in ("short", "half", "full")}
messages = st.integers(0, N - 1) | st.sampled_from([0, 1, N - 1, N // 2])


@pytest.mark.parametrize("randomness", ENCRYPTORS)
@settings(max_examples=8)
@given(batch=st.lists(messages, min_size=1, max_size=5))
def test_phe_opens_what_hecli_encrypts(randomness, batch):
    private = phe.PaillierPrivateKey(phe.PaillierPublicKey(N), KEY.p, KEY.q)
    ciphertexts = numbers(ENCRYPTORS[randomness](joined(batch, WIDTH)), 2 * WIDTH)
    assert [private.raw_decrypt(each) for each in ciphertexts] == batch


@settings(max_examples=8)
@given(batch=st.lists(messages, min_size=1, max_size=5))
def test_hecli_opens_what_phe_encrypts(batch):
    public = phe.PaillierPublicKey(N)
    ciphertexts = joined([public.raw_encrypt(each) for each in batch], 2 * WIDTH)
    assert numbers(decryptor(KEY.p, KEY.q)(ciphertexts), WIDTH) == batch


@settings(max_examples=8)
@given(a=messages, b=messages, c=messages)
def test_products_are_sums_beside_phe(a, b, c):
    public = KEY.public.to_phe()
    batches = ENCRYPTORS["short"](joined([a, c], WIDTH)) + joined(
        [public.raw_encrypt(each) for each in (b, a)], 2 * WIDTH
    )
    products = multiplier(N, 2)(batches)
    assert numbers(decryptor(KEY.p, KEY.q)(products), WIDTH) == [(a + b) % N, (c + a) % N]
    assert [KEY.to_phe().raw_decrypt(each) for each in numbers(products, 2 * WIDTH)] == [
        (a + b) % N,
        (c + a) % N,
    ]


def test_the_default_size_works_beside_phe():
    key = load_key("full")
    n = key.public.n
    assert n.bit_length() == 3072
    batch = [0, 1, n - 1, *(secrets.randbelow(n) for _ in range(4))]
    ciphertexts = encryptor(n, "short", 7)(joined(batch, 384))
    assert [key.to_phe().raw_decrypt(each) for each in numbers(ciphertexts, 768)] == batch
    assert numbers(decryptor(key.p, key.q)(ciphertexts), 384) == batch


def test_every_window_width_gives_true_residues(monkeypatch):
    """Without randomness in the way: the table's product is h_s to the exponent its digits spell."""
    h_s = pow(derived_base(N), N, N * N)
    for width in (3, 8, 10):
        monkeypatch.setattr(type(kernels()), "comb_window", lambda _self, _bits, _count, width=width: width)
        engine = encryptor(N, "short", 1)
        windows = -(-448 // width)
        drawn = os.urandom(-(-width * windows // 8))
        monkeypatch.setattr(os, "urandom", lambda size, drawn=drawn: drawn[:size])
        number = int.from_bytes(drawn, "little")
        digits = [number >> (width * at) & (2**width - 1) for at in range(windows)]
        digits = [digit - (digit >> (width - 1) << width) for digit in digits]
        exponent = sum(digit << (width * at) for at, digit in enumerate(digits))
        ciphertext = int.from_bytes(engine(joined([5], WIDTH)), "big")
        monkeypatch.undo()
        assert ciphertext == pow(h_s, exponent, N * N) * (1 + 5 * N) % (N * N)


def test_the_base_is_a_residue_that_anyone_can_derive():
    h = derived_base(N)
    assert math.gcd(h, N) == 1
    # -x^2 has Jacobi symbol +1 but is a square modulo neither prime.
    assert gmpy2.jacobi(h, N) == 1
    assert gmpy2.legendre(h, KEY.p) == gmpy2.legendre(h, KEY.q) == -1
    assert derived_base(N) == h
    assert derived_base(load_key("full").public.n) != h


def test_the_base_is_the_documented_one():
    import hashlib

    data = hashlib.shake_256(b"hecli derived base v1\0" + N.to_bytes(256, "big")).digest(256 + 16)
    x = int.from_bytes(data, "big") % N
    assert derived_base(N) == -x * x % N


@pytest.mark.parametrize(
    ("bits", "short"), [(2048, 448), (3072, 512), (4096, 768), (7680, 768), (15360, 1024)]
)
def test_exponents_have_four_security_levels(bits, short):
    assert exponent_bits(1 << (bits - 1), "short") == short
    assert exponent_bits(1 << (bits - 1), "half") == bits // 2


def test_the_same_message_never_encrypts_the_same():
    for engine in ENCRYPTORS.values():
        ciphertexts = numbers(engine(joined([7] * 4, WIDTH)), 2 * WIDTH)
        assert len(set(ciphertexts)) == 4


BAD = {
    "zero": (0, "is zero"),
    "n": (N, "shares a factor"),
    "a multiple of n": (5 * N, "shares a factor"),
    "n squared": (N * N, "not below"),
    "above n squared": (N * N + 1, "not below"),
    "the widest": (2 ** (16 * WIDTH) - 1, "not below"),
    "a multiple of p": (KEY.p * 12345, "shares a factor"),
    "a multiple of q": (KEY.q, "shares a factor"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_ciphertext_is_named(name):
    value, says = BAD[name]
    good = numbers(ENCRYPTORS["short"](joined([1, 2, 3], WIDTH)), 2 * WIDTH)
    with pytest.raises(InvalidCiphertextError, match=says) as error:
        multiplier(N, 2)(joined([*good, good[0], value, good[2]], 2 * WIDTH))
    assert (error.value.source, error.value.index) == (1, 1)
    with pytest.raises(InvalidCiphertextError, match=says) as error:
        decryptor(KEY.p, KEY.q)(joined([*good, value], 2 * WIDTH))
    assert error.value.index == 3


def prime(bits, start=0):
    return int(gmpy2.next_prime((3 << (bits - 2)) + start))


BAD_MODULI = {
    "short": (prime(1000) * prime(1001), "2001 bits is too short"),
    "long": ((1 << 16384) + 1, "16385 bits is too long"),
    "even": (2 * prime(2047), "is even"),
    "prime": (prime(2048), "is prime"),
    "a square": (prime(1024) ** 2, "perfect power"),
    "a small factor": (1048573 * prime(2040), "small factor"),
    "close primes": (prime(1024) * int(gmpy2.next_prime(prime(1024))), "too close together"),
}


@pytest.mark.parametrize("name", BAD_MODULI)
def test_worthless_moduli_are_refused(name):
    n, says = BAD_MODULI[name]
    with pytest.raises(InvalidModulusError, match=says):
        PublicKey(n).check()


def test_private_keys_that_do_not_work_are_refused():
    for p, q, says in (
        (KEY.p, KEY.p, "not two different primes"),
        (KEY.p, KEY.q + 2, "not two different primes|is even"),
        (KEY.p, 15 * (1 << 1020) + 1, "not two different primes"),
    ):
        with pytest.raises(InvalidModulusError, match=says):
            PrivateKey(p, q).check()


def test_primes_that_do_not_fit_together_are_refused():
    p = prime(1000)
    q = next(q for q in range(2 * p + 1, 10**6 * p, 2 * p) if gmpy2.is_prime(q))
    with pytest.raises(InvalidModulusError, match="do not fit together"):
        engines.check_primes(p, q)


def test_generated_keys_are_as_documented():
    key = hecli.keygen(2048)
    p, q = key.p, key.q
    assert (p * q).bit_length() == 2048
    assert p % 4 == q % 4 == 3
    assert math.gcd(p - 1, q - 1) == 2
    assert abs(p - q) > 2 ** (1024 - 100)
    assert math.gcd(p * q, (p - 1) * (q - 1)) == 1
    key.check()
    key.public.check()
    assert hecli.keygen(2048) != key


@pytest.mark.parametrize("bits", [0, 1024, 2047, 2049, 20000])
def test_other_sizes_are_refused(bits):
    with pytest.raises(HecliError, match="bits"):
        hecli.keygen(bits)


def test_private_keys_do_not_show_themselves():
    for shown in (repr(KEY), str(KEY), f"{KEY}"):
        assert str(KEY.p)[:20] not in shown


def test_fingerprints_tell_keys_apart():
    assert PUBLIC.fingerprint == PublicKey(N).fingerprint
    assert PUBLIC.fingerprint != load_key("full").public.fingerprint
    assert len(PUBLIC.fingerprint.split("-")) == 10


def test_this_machine_can_be_measured():
    costs = engines.measure(N, "short", 1000, 64)
    assert 0 < costs.multiply < costs.encrypt < costs.decrypt
    assert costs.prepare > costs.encrypt
    assert engines.measure(N, "full", 1000, 64).encrypt > costs.encrypt
