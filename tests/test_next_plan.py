"""Plans made from the sum of a round: the next one, and others like it."""

import io
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.codec.chain import Coding
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.plan.position import Position
from hecli.rounds.next_plan import name_after
from hecli.rounds.ranges import steps_after
from tests.support import aggregated, decrypted, encrypted, npz, reader, small_plan, steps_of

ARRAYS = [{"b": np.full(2, value), "w": np.full((2, 3), -4 * value, np.float32)} for value in (0.5, 0.25)]


@pytest.fixture(scope="module")
def last():
    """A plan with options of all kinds, and the sum of its round."""
    plan = small_plan(npz(**ARRAYS[0]), 5, bits=12, max_weight=7, rounding="stochastic", name="spring-09")
    files = [encrypted(npz(**arrays), plan, weight=7) for arrays in ARRAYS]
    return plan, decrypted(aggregated(*files))


def test_the_next_plan_is_the_last_but_for_id_name_and_ranges(last):
    plan, total = last
    made = hecli.next_plan(plan, total)
    assert (made.name, made.id != plan.id) == ("spring-10", True)
    assert steps_of(made) == steps_after(total, Coding(12))
    assert replace(made, name=plan.name, id=plan.id, codec=plan.codec) == plan
    assert replace(made.codec.quantise, steps=steps_of(plan)) == plan.codec.quantise
    assert hecli.next_plan(plan, total).id != made.id


def test_bits_and_name_of_the_next_plan_can_be_chosen(last):
    plan, total = last
    made = hecli.next_plan(plan, total, bits=20, name="late")
    assert (made.name, made.codec.quantise.bits) == ("late", 20)
    assert steps_of(made) == steps_after(total, Coding(20))
    with pytest.raises(HecliError, match="bits must be from 2 to 32"):
        hecli.next_plan(plan, total, bits=1)
    with pytest.raises(FormatError, match="cannot be a name"):
        hecli.next_plan(plan, total, name="")


def test_the_sum_is_of_the_last_plan(last):
    plan, total = last
    with pytest.raises(MismatchError, match="follows another"):
        hecli.next_plan(replace(plan, id=bytes(16)), total)


def test_a_training_makes_its_own_plans(last):
    plan, total = last
    position = Position(bytes(32), 1, 1, bytes(32), b"")
    with pytest.raises(HecliError, match="is a round of a training"):
        hecli.next_plan(replace(plan, position=position), total)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("round", "round-2"),
        ("round-2", "round-3"),
        ("round-009", "round-010"),
        ("round-999", "round-1000"),
        ("resnet18", "resnet18-2"),
        ("a-b", "a-b-2"),
        ("a-1-9", "a-1-10"),
        ("-7", "-8"),
        ("round-\u0663", "round-\u0663-2"),
    ],
)
def test_names_go_on(name, after):
    assert name_after(name) == after


def test_a_plan_like_a_sum_has_its_tensors_and_ranges(last):
    plan, total = last
    made = hecli.make_plan(total, plan.scheme, 3, bits=20, max_weight=7)
    assert made.tensors == plan.tensors
    assert steps_of(made) == steps_after(total, Coding(20))
    assert (made.name, made.capacity, made.codec.quantise.rounding) == ("round", 3, "nearest")
    fixed = hecli.make_plan(total, plan.scheme, 3, value_range=1.0)
    assert steps_of(fixed) == (1 / 32767,) * 2


def test_ranges_of_a_sum_are_for_the_same_weights(last):
    plan, total = last
    with pytest.raises(HecliError, match="of weights up to 7, and so are its ranges, not 1"):
        hecli.make_plan(total, plan.scheme, 3)


def test_commands_make_the_next_plan(place, ok, fails, run):
    for party, arrays in zip("ab", ARRAYS, strict=True):
        np.savez(place / f"{party}.npz", **arrays)
    ok("plan", "--like", "a.npz", "--parties", 2, "--bits", 8)
    for party in "ab":
        ok("encrypt", f"{party}.npz", "--plan", "round.plan")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    (place / "hecli.pub").rename(place / "away.pub")
    said = ok("plan", "--next", "round.plan", "--like", "round.sum")
    assert "round-2.plan: 'round-2', digest" in said
    assert "8 bits" in said
    first, second = (hecli.read_plan(place / name) for name in ("round.plan", "round-2.plan"))
    total = io.BytesIO((place / "round.sum").read_bytes())
    assert steps_of(second) == steps_after(total, Coding(8)) != steps_of(first)
    again = ("plan", "--next", "round.plan", "--like", "round.sum")
    fails(*again, says="round-2.plan exists", hint="--force")
    ok(*again, "-o", "c.plan", "--bits", 24, "--name", "summer")
    third = hecli.read_plan(place / "c.plan")
    assert (third.name, third.codec.quantise.bits) == ("summer", 24)
    # Whatever else stands in the last plan is not chosen twice.
    for option in (
        ("--parties", 3),
        ("--range", 1),
        ("--rounding", "nearest"),
        ("--min-parties", 2),
        ("--max-weight", 1),
        ("--randomness", "full"),
        ("--masks",),
        ("--scheme", "paillier"),
        ("--key", "hecli.pub"),
    ):
        says = f"{option[0]} stands in the last plan already"
        fails(*again, *option, "-o", "d.plan", says=says, hint="--help", status=2)
    like = ("--like", "round.sum", "-o", "d.plan")
    fails("plan", "--next", "round.sum", *like, says="is a sum file, not a plan", hint=".plan file")
    fails("plan", "--next", "round.plan", "--like", "a.npz", *like[2:], says="is not a sum", hint="last")
    fails("plan", "--next", "c.plan", *like, says="follows 'round', the plan is 'summer'")
    fails("plan", "--next", "-", "--like", "-", "-o", "d.plan", says="only once", hint="--help", status=2)
    assert not (place / "d.plan").exists()
    ok("plan", "--like", "round.sum", "--parties", 4, "--key", "away.pub", "-o", "e.plan")
    assert hecli.read_plan(place / "e.plan").capacity == 4


def test_the_coordinator_signs_by_card_and_not_by_name():
    anna, bob, other = (Identity.generate(name) for name in ("anna", "bob", "anna"))
    roster = Roster.of([anna.card, bob.card], coordinator=anna.card)
    plan = small_plan(npz(**ARRAYS[0]), None, roster=roster)
    # By the same name is not enough.
    for signer in (None, bob, other):
        with pytest.raises(HecliError, match="its coordinator anna has to sign it"):
            hecli.write_plan(plan, io.BytesIO(), signer)
    out = io.BytesIO()
    hecli.write_plan(plan, out, anna)
    assert reader(out).signature is not None
