"""A dishonest keyholder, who publishes another sum than the aggregate holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError, MismatchError
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
from tests.support import body, encrypted, mean_of, npz, reader, rewritten, small_plan, written


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
    with pytest.raises(FormatError, match="is not what ciphertexts 0 and on of the input hold"):
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


def test_a_keyholder_s_proofs_of_another_aggregate_sum_group_or_place(opened):
    """Moved, repeated, of a second opening, of another round under the same key."""
    proofs = body(opened.sum)["proofs"]
    size = len(proofs) // opened.plan.geometry.groups
    other = a_round(a_plan())
    files = list(other.updates.values())
    elsewhere = body(decrypt(aggregate(files), files))["proofs"]
    part = aggregate(opened.files[:2])
    of_part = body(decrypt(part, opened.files[:2]))["proofs"]
    for wrong in (
        proofs[size:] + proofs[:size],
        2 * proofs[:size],
        elsewhere,
        of_part,
        bytes(len(proofs)),
        proofs[:16] + bytes(size - 16) + proofs[size:],
        b"\0" * 16 + proofs[16:],
        proofs[:16] + PUBLIC.n.to_bytes(256, "big") + proofs[size:],
    ):
        with pytest.raises(FormatError, match="is not what"):
            check(opened, forged(opened, body={"proofs": wrong}))
    # Another opening's own proofs hold, for their own file.
    again = decrypt(opened.aggregate, opened.files, key=STRICT)
    assert body(again)["proofs"] != proofs
    assert check(opened, again)


def test_a_keyholder_names_another_aggregate(opened):
    part = aggregate(opened.files[:2])
    with pytest.raises(MismatchError, match="was opened from another aggregate"):
        check(opened, opened.sum, part)
    header = reader(opened.sum).header | {"aggregate": reader(part).digest}
    with pytest.raises(HecliError):
        check(opened, forged(opened, header=header), part)


def test_somebody_without_the_key_makes_a_sum_with_proofs(opened):
    """Those of an opening with a key of its own, of as many groups."""
    stranger = hecli.keygen(2048)
    plan = a_plan(stranger.public)
    files = [update(plan, name, key=stranger.public) for name in ("alice", "bob", "carol")]
    made = aggregate(files)
    total = decrypt(made, files, key=stranger)
    assert hecli.verify_sum(*rewound([total, made]), jobs=1)
    proofs = body(total)["proofs"]
    assert len(proofs) == len(body(opened.sum)["proofs"])
    with pytest.raises(FormatError, match="is not what"):
        check(opened, forged(opened, body={"proofs": proofs}))


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
