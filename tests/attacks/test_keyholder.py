"""A dishonest keyholder, who publishes another sum than the aggregate holds."""

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hecli
from hecli.arithmetic import engines
from hecli.arithmetic.gmp.moduli import SMALL_FACTOR_LIMIT
from hecli.arithmetic.gmp.sum_proofs import matrix_of, rooted, seed_of
from hecli.arithmetic.sizes import (
    COMBINE,
    PROVE,
    SUM_CHALLENGE_BITS,
    SUM_REPETITIONS,
    ciphertext_size,
    plaintext_size,
    sum_proof_size,
)
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.executors.interface import SERIAL
from hecli.identity.signatures import signer
from tests.attacks.scene import (
    KEY,
    PEOPLE,
    PUBLIC,
    STRICT,
    a_plan,
    a_round,
    aggregate,
    blocks_of,
    close,
    decrypt,
    opens_to,
    rewound,
    tensors,
    update,
)
from tests.support import (
    body,
    encrypted,
    joined,
    mean_of,
    npz,
    numbers,
    reader,
    rewritten,
    small_plan,
    written,
)


@pytest.fixture(scope="module")
def opened():
    """A round, its aggregate and its sum."""
    scene = a_round()
    files = list(scene.updates.values())
    scene.files, scene.aggregate = files, aggregate(files)
    scene.sum = decrypt(scene.aggregate, files)
    return scene


def forged(scene, **changes):
    """A sum with other contents, signed by the keyholder."""
    sign = signer(PEOPLE["anna"], "sum", scene.plan.digest)
    return rewritten(scene.sum, sign=sign, **changes)


def check(scene, total, made=None):
    return hecli.verify_sum(*rewound([total, made or scene.aggregate]), jobs=1)


def test_a_keyholder_publishes_the_true_sum(opened):
    assert [each.party for each in check(opened, opened.sum)] == ["alice", "bob", "carol"]
    mean = mean_of(opened.sum)["w"]
    assert (
        np.abs(mean - np.mean([tensors(name)["w"] for name in ("alice", "bob", "carol")], axis=0)).max()
        < 1e-4
    )


def test_a_keyholder_publishes_one_party_s_update_as_the_sum(opened):
    """Every lane in range, every signature true; only the aggregate says otherwise."""
    qmax, step = opened.plan.codec.quantise.qmax, opened.plan.codec.quantise.steps[0]
    lanes = 3 * (np.round(tensors("alice")["w"].astype(np.float64) / step).astype(np.int64) + qmax)
    false = forged(opened, body={"lanes": lanes.astype(">u4").tobytes()})
    assert close(mean_of(false)["w"], "alice")
    assert hecli.verify(*rewound([false]))["signed_by"]["name"] == "anna"
    with pytest.raises(FormatError, match="is not what the input holds"):
        check(opened, false)


@settings(max_examples=25)
@given(st.data())
def test_a_keyholder_changes_any_one_lane(opened, data):
    content = np.frombuffer(body(opened.sum)["lanes"], ">u4").astype(np.int64)
    at = data.draw(st.integers(0, len(content) - 1))
    largest = 3 * opened.plan.codec.largest
    content[at] = (content[at] + data.draw(st.integers(1, largest))) % (largest + 1)
    with pytest.raises(FormatError, match="is not what"):
        check(opened, forged(opened, body={"lanes": content.astype(">u4").tobytes()}))


def test_a_keyholder_changes_what_cancels_in_a_simple_sum(opened):
    """One lane more here, one less there: the exponents of a batch are not all one."""
    content = np.frombuffer(body(opened.sum)["lanes"], ">u4").astype(np.int64)
    per = opened.plan.geometry.packing.values
    content[0] += 1
    content[per] -= 1
    with pytest.raises(FormatError, match="is not what"):
        check(opened, forged(opened, body={"lanes": content.astype(">u4").tobytes()}))


def test_a_keyholder_changes_the_total_weight_or_the_clipped_count():
    plan = small_plan(npz(w=np.ones(3, np.float32)), max_weight=9)
    files = [encrypted(npz(w=np.ones(3, np.float32)), plan, weight=weight) for weight in (2, 5)]
    made = written(lambda out: hecli.aggregate(rewound(files), out, jobs=1))
    total = written(lambda out: hecli.decrypt(made, out, KEY, updates=rewound(files), jobs=1))
    header = reader(total).header
    assert hecli.verify_sum(*rewound([total, made]), jobs=1)
    for change in ({"weight": 8}, {"clipped": 1}):
        with pytest.raises(FormatError, match="is not what"):
            hecli.verify_sum(*rewound([rewritten(total, header=header | change), made]), jobs=1)


def test_a_keyholder_s_proof_of_another_aggregate_or_sum(opened):
    """Of a second opening, of another round under the same key, with answers at the borders."""
    proof = body(opened.sum)["proof"]
    start = 32
    middle = start + 7 * 256
    other = a_round(a_plan())
    files = list(other.updates.values())
    elsewhere = body(decrypt(aggregate(files), files))["proof"]
    part = aggregate(opened.files[:2])
    of_part = body(decrypt(part, opened.files[:2]))["proof"]
    n = PUBLIC.n.to_bytes(256, "big")
    negated = [PUBLIC.n - value for value in numbers(proof[start:middle], 256)]
    for wrong in (
        elsewhere,
        of_part,
        bytes(len(proof)),
        bytes(start) + proof[start:],
        proof[: start + 256] + proof[start : start + 256] + proof[start + 512 :],
        proof[:start] + bytes(256) + proof[start + 256 :],
        proof[:start] + n + proof[start + 256 :],
        proof[:start] + joined(negated, 256) + proof[middle:],
        proof[:middle] + bytes(len(proof) - middle),
        proof[:-256] + proof[-512:-256],
        b"\xff" + proof[1:],
    ):
        with pytest.raises(FormatError, match="is not what"):
            check(opened, forged(opened, body={"proof": wrong}))
    # Another opening's own proof holds, for its own file.
    again = decrypt(opened.aggregate, opened.files, key=STRICT)
    assert body(again)["proof"] != proof
    assert check(opened, again)


@pytest.mark.slow
def test_a_keyholder_makes_a_key_with_a_small_factor_to_prove_a_false_sum():
    """With a factor of 21 bits one long challenge is right too often; short ones, many times, are not."""
    small = int(gmpy2.next_prime(1 << 20))
    large = int(gmpy2.next_prime(1 << 2030))
    n, bound, number = small * large, bytes(range(32)), bytes(4)
    engines.check_modulus(n)
    opener, combiner = engines.opener(small, large), engines.opening_combiner(n)
    size = plaintext_size(n)
    values = [5, 7, 11]
    blocks = joined([(1 + m * n) * pow(3 + m, n, n * n) % (n * n) for m in values], ciphertext_size(n))
    proof = opener(PROVE + bound + opener(COMBINE + bound + number + blocks))
    true = combiner(bound + number + blocks + joined(values, size))
    assert engines.check_sum_proof(n, bound, true, proof)
    # Wrong in the small subgroup alone: off by a multiple of the other factor.
    values[0] += large
    for at in range(100):
        tried = at.to_bytes(32, "big")
        false = combiner(tried + number + blocks + joined(values, size))
        proof = opener(PROVE + tried + opener(COMBINE + tried + number + blocks))
        assert not engines.check_sum_proof(n, tried, false, proof)
    # All products have to be lucky, or all answers, with challenges shorter than any factor there may be.
    assert SUM_REPETITIONS * SUM_CHALLENGE_BITS >= 128
    assert 1 << SUM_CHALLENGE_BITS <= SMALL_FACTOR_LIMIT


@pytest.mark.parametrize("bits", [20, 1024])
def test_a_keyholder_answers_with_what_is_no_unit(bits):
    """Zero modulo p is its own n-th power times anything: the sum would be proven modulo q alone."""
    q = int(gmpy2.next_prime(1 << bits))
    p = int(gmpy2.next_prime(1 << 2060 - bits))
    n, bound, number = p * q, bytes(range(32)), bytes(4)
    size, wide = plaintext_size(n), ciphertext_size(n)
    opener, combiner = engines.opener(p, q), engines.opening_combiner(n)
    blocks = joined([(1 + m * n) * pow(3 + m, n, n * n) % (n * n) for m in (5, 7)], wide)
    false = combiner(bound + number + blocks + joined([5 + q, 7], size))
    products = numbers(false, wide)
    roots = numbers(opener(PROVE + bound + joined([1] * SUM_REPETITIONS, size))[32:], size)[SUM_REPETITIONS:]
    # Honest modulo q^2, zero modulo p^2: a commitment there is zero whatever the challenge.
    lift = p * pow(p, -1, q) % n
    wide_lift = p**2 * pow(p**2, -1, q**2)
    inverse = pow(n, -1, q - 1)
    secret = list(range(2, 2 + SUM_REPETITIONS))
    commitments = [pow(each, n, q**2) * wide_lift % n**2 for each in secret]
    seed = bytes(seed_of(bound, joined(commitments, wide)))
    of_q = [pow(each % q, inverse, q) for each in products]
    answers = []
    for own, row in zip(secret, matrix_of(seed), strict=True):
        value = own
        for root, e in zip(of_q, row, strict=True):
            value = value * pow(root, int(e), q) % q
        answers.append(value * lift % n)
    assert all(each % p == 0 for each in answers)
    # The equation holds for each of them; that they are no units is what gives them away.
    for z, row, commitment in zip(answers, matrix_of(seed), commitments, strict=True):
        right = commitment
        for product, e in zip(products, row, strict=True):
            right = right * pow(product, int(e), n**2) % n**2
        assert pow(z, n, n**2) == right
    assert not engines.check_sum_proof(n, bound, false, seed + joined([*answers, *roots], size))


def test_a_keyholder_makes_a_key_with_a_square_in_it_to_prove_a_false_sum():
    """Under n = p^2 q what differs by n / p is encrypted alike, and a root of it would prove either."""
    p, q = (int(gmpy2.next_prime(1 << bits)) for bits in (700, 701))
    n = p * p * q
    engines.check_modulus(n)
    c = pow(12345, n, n * n)
    other = c * (1 + n * (n // p)) % (n * n)
    # Both are n-th residues: encryptions of zero, one of which is one of n / p as well.
    order = p * (p - 1) * (q - 1)
    assert pow(other, order, n * n) == pow(c, order, n * n) == 1
    # But x -> x^n is no permutation modulo n, so that numbers that follow from n have no roots.
    assert not all(pow(int(value), order // p, n) == 1 for value in rooted(n))
    # All that it can do: roots of those that have one, and of the others what is nearest.
    inverse = pow(q, -1, (p - 1) * (q - 1))
    nearest = [pow(int(value), inverse, n) for value in rooted(n)]
    size = plaintext_size(n)
    start = sum_proof_size(n) - SUM_REPETITIONS * size
    products = joined([1] * SUM_REPETITIONS, ciphertext_size(n))
    assert not engines.check_sum_proof(n, bytes(32), products, bytes(start) + joined(nearest, size))


def test_a_key_with_a_factor_that_is_looked_for_proves_nothing(opened):
    small = small_plan(npz(w=np.ones(3, np.float32)), scheme=hecli.Paillier.of(hecli.PublicKey(3 * PUBLIC.n)))
    correctness = small.scheme.correctness
    with pytest.raises(HecliError, match="small factor"):
        correctness.check(bytes(32), [], bytes(correctness.proof_size), 1, SERIAL)
    assert opened


def test_a_keyholder_names_another_aggregate(opened):
    part = aggregate(opened.files[:2])
    with pytest.raises(MismatchError, match="was opened from another aggregate"):
        check(opened, opened.sum, part)
    header = reader(opened.sum).header | {"aggregate": reader(part).digest}
    with pytest.raises(HecliError):
        check(opened, forged(opened, header=header), part)


def test_somebody_without_the_key_makes_a_sum_with_a_proof(opened):
    """That of an opening with a key of its own."""
    stranger = hecli.keygen(2048)
    plan = a_plan(stranger.public)
    files = [update(plan, name, key=stranger.public) for name in ("alice", "bob", "carol")]
    made = aggregate(files)
    total = decrypt(made, files, key=stranger)
    assert hecli.verify_sum(*rewound([total, made]), jobs=1)
    proof = body(total)["proof"]
    with pytest.raises(FormatError, match="is not what"):
        check(opened, forged(opened, body={"proof": proof}))


def test_masks_over_a_key_leave_the_sum_just_as_provable():
    """With dropouts: what the ciphertexts hold is masked, and enrollments and answers say how."""
    plan = a_plan(hecli.Paillier.of(PUBLIC, masking=hecli.Masking(1)))
    people = ("alice", "bob", "carol", "mallory")
    enrollments = [written(lambda out, who=name: hecli.enroll(out, plan, PEOPLE[who])) for name in people]
    files = [update(plan, name, enrollments=enrollments) for name in people[:3]]
    made = aggregate(files)
    answers = [
        written(
            lambda out, who=name: hecli.answer(
                *rewound([made]), out, PEOPLE[who], rewound(enrollments), rewound(files), jobs=1
            )
        )
        for name in people[:3]
    ]
    with_masks = {"enrollments": enrollments, "answers": answers}
    total = decrypt(made, files, **{key: rewound(each) for key, each in with_masks.items()})
    checked = {key: rewound(each) for key, each in with_masks.items()}
    assert hecli.verify_sum(*rewound([total, made]), **checked, jobs=1)
    content = bytearray(body(total)["lanes"])
    content[3] ^= 1
    false = rewritten(total, body={"lanes": bytes(content)}, sign=signer(PEOPLE["anna"], "sum", plan.digest))
    checked = {key: rewound(each) for key, each in with_masks.items()}
    with pytest.raises(FormatError, match="is not what"):
        hecli.verify_sum(*rewound([false, made]), **checked, jobs=1)
    assert opens_to(plan, blocks_of(made), 3) is None
