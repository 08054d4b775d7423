"""ML-KEM-768: the library's, beside integers and hashlib, and the known answer of a hundred random cases."""

import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecli.identity import kem

sys.path.insert(0, str(Path(__file__).parent / "vectors"))
import mlkem

ACCUMULATED = "1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415"
"""What Go's crypto/mlkem publishes for the first hundred cases of its TestAccumulated."""

SIZES = kem.SEED_SIZE, 32, kem.CIPHERTEXT_SIZE


def test_a_hundred_cases_give_the_known_answer():
    """Keys and secrets by the library; what carries a chosen number by integers, for it draws its own."""
    stream, given_ = hashlib.shake_128().digest(100 * sum(SIZES)), hashlib.shake_128()
    for case in range(100):
        at, parts = case * sum(SIZES), []
        for size in SIZES:
            parts.append(stream[at : at + size])
            at += size
        seed, number, another = parts
        public = kem.public_key(seed)
        secret, carrier = mlkem.encapsulate(public, number)
        assert kem.decapsulate(seed, carrier) == secret
        for each in (public, carrier, secret, kem.decapsulate(seed, another)):
            given_.update(each)
    assert given_.hexdigest(32) == ACCUMULATED


@settings(max_examples=10)
@given(st.binary(min_size=64, max_size=64))
def test_whatever_is_sent_is_received(seed):
    public = kem.public_key(seed)
    assert public == mlkem.public_key(seed)
    secret, carrier = kem.encapsulate(public)
    assert (len(public), len(carrier), len(secret)) == (kem.PUBLIC_SIZE, kem.CIPHERTEXT_SIZE, 32)
    assert kem.decapsulate(seed, carrier) == secret
    other = kem.decapsulate(kem.generate(), carrier)
    assert other != secret


def test_what_is_no_key_is_none():
    public = kem.public_key(kem.generate())
    assert kem.is_key(public)
    # A coefficient of q, which FIPS 203 (section 7.2) has refused.
    above = (3329).to_bytes(2, "little") + public[2:]
    for none in (b"", public[:-1], public + b"x", bytes([255]) * 1184, above):
        assert not kem.is_key(none)
        with pytest.raises(ValueError, match=r"\w"):
            kem.encapsulate(none)
    # One to which everybody receives: FIPS 203 allows it, and nobody means it.
    assert not kem.is_key(bytes(1184))
    with pytest.raises(ValueError, match=r"\w"):
        kem.decapsulate(bytes(64), bytes(1087))
    with pytest.raises(ValueError, match=r"\w"):
        kem.public_key(bytes(63))
