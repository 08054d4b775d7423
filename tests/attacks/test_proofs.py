"""A maker of ciphertexts against proofs of plaintext knowledge: replayed, moved, mixed, at the borders."""

import contextlib
import secrets

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecli.arithmetic import engines
from hecli.arithmetic.choosing import kernels
from hecli.arithmetic.gmp.knowledge import Knowledge
from hecli.arithmetic.sizes import InvalidCiphertextError, knowledge_size, plaintext_size, response_bits
from tests.support import KEY, PUBLIC, joined, load_key, numbers

N = PUBLIC.n
SIZE, WIDE = plaintext_size(N), 2 * plaintext_size(N)
BOUND = bytes(range(32))
KINDS = ("short", "half", "full")
COUNT = 3


def made(kind, number=0, bound=BOUND, count=COUNT, n=N):
    """A group's ciphertexts and its proof."""
    size = plaintext_size(n)
    plaintexts = joined([secrets.randbelow(n) for _ in range(count)], size)
    found = engines.encryptor(n, kind, 4, bound)(number.to_bytes(4, "big") + plaintexts)
    at = 2 * size * count
    return found[:at], found[at:]


def holds(kind, blocks, proof, number=0, bound=BOUND, n=N):
    checker = engines.knowledge_checker(n, kind)
    return checker(bound + number.to_bytes(4, "big") + blocks + proof) == b"\1"


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_proof_holds_at_every_size_of_group(kind):
    for count in (1, 2, COUNT, 7):
        assert holds(kind, *made(kind, count=count))


def test_an_honest_proof_holds_at_the_default_key_size():
    n = load_key("full").public.n
    assert n.bit_length() == 3072
    for count in (64, 200):
        assert holds("short", *made("short", count=count, n=n), n=n)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_replayed_for_other_ciphertexts_or_another_maker_plan_place_or_size(kind):
    blocks, proof = made(kind)
    others, other_proof = made(kind)
    assert not holds(kind, others, proof)
    assert not holds(kind, blocks, other_proof)
    # Plan, party, card and number of ciphertexts are in what a proof is bound to.
    assert not holds(kind, blocks, proof, bound=bytes(32))
    assert not holds(kind, blocks, proof, number=1)
    assert not holds(kind, blocks[: 2 * WIDE], proof)
    assert not holds(kind, blocks + blocks[:WIDE], proof)
    again = numbers(blocks, WIDE)
    assert not holds(kind, joined([again[1], again[0], again[2]], WIDE), proof)
    # One ciphertext of another group among its own.
    assert not holds(kind, joined([*again[:2], numbers(others, WIDE)[0]], WIDE), proof)


@pytest.mark.parametrize("kind", KINDS)
def test_ciphertexts_computed_from_those_that_are_proven(kind):
    blocks, proof = made(kind)
    values = numbers(blocks, WIDE)
    square = N * N
    for changed in (
        [value * (1 + 7 * N) % square for value in values],  # the same modulo n: other plaintexts
        [square - value for value in values],  # -1 is an n-th residue: the same plaintexts
        [pow(value, 3, square) for value in values],
        [pow(value, -1, square) for value in values],
        [value * values[0] % square for value in values],
        [values[0] * (1 + N) % square, *values[1:]],
    ):
        assert not holds(kind, joined(changed, WIDE), proof)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_of_two_makers_multiplied_is_nobody_s(kind):
    """Responses add and commitments multiply, but the challenges are of each alone."""
    (one, first), (two, second) = made(kind), made(kind)
    both = [a * b % N**2 for a, b in zip(numbers(one, WIDE), numbers(two, WIDE), strict=True)]
    commitment = int.from_bytes(first[:SIZE], "big") * int.from_bytes(second[:SIZE], "big") % N
    answers = [int.from_bytes(each[SIZE:], "big") for each in (first, second)]
    answer = answers[0] * answers[1] % N if kind == "full" else sum(answers)
    width = knowledge_size(N, kind) - SIZE
    if answer.bit_length() <= 8 * width:
        assert not holds(
            kind, joined(both, WIDE), commitment.to_bytes(SIZE, "big") + answer.to_bytes(width, "big")
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_with_commitment_or_answer_at_the_borders(kind):
    blocks, proof = made(kind)
    start, answer = proof[:SIZE], proof[SIZE:]
    width = len(answer)
    for commitment in (0, 1, N - 1, N, N + 1, KEY.p, 2 ** (8 * SIZE) - 1):
        assert not holds(kind, blocks, commitment.to_bytes(SIZE, "big") + answer)
    top = N if kind == "full" else 1 << response_bits(N, kind)
    for value in (0, 1, top - 1, top, 2 ** (8 * width) - 1):
        if value < 2 ** (8 * width):
            assert not holds(kind, blocks, start + value.to_bytes(width, "big"))
    if kind == "full":
        # -s: n is odd, so the power changes its sign.
        other = N - int.from_bytes(answer, "big")
        assert not holds(kind, blocks, start + other.to_bytes(width, "big"))


def test_an_answer_beyond_its_bound_that_would_be_right_is_refused():
    """b and b plus a multiple of the base's order give one power; the bound leaves one b."""
    blocks, proof = made("short")
    order = (KEY.p - 1) * (KEY.q - 1)
    answer = int.from_bytes(proof[SIZE:], "big") + order
    assert answer.bit_length() > response_bits(N, "short")
    width = knowledge_size(N, "short") - SIZE
    assert answer.bit_length() > 8 * width
    assert holds("short", blocks, proof)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_no_ciphertexts_have_no_proof(kind):
    blocks, proof = made(kind)
    values = numbers(blocks, WIDE)
    for wrong in (0, N, KEY.p, N * N, N * N + 1):
        with pytest.raises(InvalidCiphertextError):
            holds(kind, joined([values[0], wrong, values[2]], WIDE), proof)


@settings(max_examples=40)
@given(st.data())
def test_any_bit_of_ciphertexts_or_proof_turned_over(data):
    blocks, proof = made("short")
    content = bytearray(blocks + proof)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(InvalidCiphertextError):
        assert not holds("short", bytes(content[: len(blocks)]), bytes(content[len(blocks) :]))


def test_a_proof_says_nothing_of_the_exponents_by_its_size():
    """b hides them by 128 bits: answers about exponents of zero and of the largest look the same."""
    knowledge = Knowledge(kernels(), N, "short")
    blocks, _ = made("short")
    largest = [gmpy2.mpz((1 << 463) - 1)] * COUNT
    bits = response_bits(N, "short")
    for openings in ([gmpy2.mpz(0)] * COUNT, largest, [-each for each in largest]):
        answers = [
            int.from_bytes(knowledge.prove(BOUND, bytes(4), blocks, openings)[SIZE:], "big")
            for _ in range(40)
        ]
        assert len(set(answers)) == 40
        assert max(answers) < 1 << bits
        # Uniform below 2^bits, as far as forty of them tell.
        assert 4 < sum(answer >> (bits - 1) for answer in answers) < 36
