"""The terms of a training: their file, the plans that follow from them, and metrics."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hecli
from hecli.errors import FormatError, HecliError
from hecli.formats import envelope
from hecli.formats.canonical import pack, unpack
from hecli.formats.tensors.specs import TensorSpec
from hecli.formats.text import is_printable
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity, signer
from hecli.ledger.entry import TEXT_LIMIT
from hecli.plan.position import Position
from hecli.schemes.paillier.scheme import Paillier
from hecli.training.deriving import derive_plan, first_plan, round_name
from hecli.training.metrics import tensor_name, to_means, to_tensors
from hecli.training.terms import METRIC_LIMIT, METRIC_NAME_LIMIT, Goal, Metric, Training, write_training
from tests.support import PUBLIC, written

ANNA, ALICE, BOB = (Identity.generate(name) for name in ("anna", "alice", "bob"))
ROSTER = Roster.of([ALICE.card, BOB.card], [ANNA.card], [ANNA.card], coordinator=ANNA.card)
TENSORS = (
    TensorSpec("b", "float32", (2,)),
    TensorSpec("n", "int64", (1,)),
    TensorSpec("w", "float64", (2, 2)),
)
TRAINING = Training(
    name="spring",
    id=bytes(range(16)),
    roster=ROSTER,
    scheme=Paillier.of(PUBLIC),
    tensors=TENSORS,
    skipped=("n",),
    model=bytes(range(32)),
    rule="add",
    lr=0.5,
    rounds=9,
    bits=16,
    rounding="nearest",
    range=None,
    max_weight=1,
    min_parties=2,
    deadline=60,
    metrics=(Metric("accuracy", 1.0), Metric("loss", 20.0)),
    goal=Goal("accuracy", maximize=True, target=0.9, patience=3),
    keep=1,
)

names = st.text(
    st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=METRIC_NAME_LIMIT
).filter(lambda text: is_printable(text) and _is_name(text) and not set(text) & set('"\\'))
above_zero = st.floats(1e-100, 1e100)


def _is_name(text):
    try:
        Metric(text, 1.0)
        replace(TRAINING, metrics=(Metric(text, 1.0),), goal=None).check()
    except HecliError:
        return False
    return True


@st.composite
def trainings(draw):
    metrics = draw(
        st.lists(st.tuples(names, above_zero), max_size=METRIC_LIMIT, unique_by=lambda each: each[0])
    )
    metrics = tuple(Metric(*each) for each in sorted(metrics))
    goal = st.none()
    if metrics:
        targets = st.none() | st.floats(allow_nan=False, allow_infinity=False)
        chosen = st.sampled_from([each.name for each in metrics])
        goal |= st.builds(Goal, chosen, st.booleans(), targets, st.integers(0, 2**64 - 1))
    return replace(
        TRAINING,
        skipped=tuple(sorted(draw(st.sets(st.sampled_from("bnw"), max_size=2)))),
        rule=draw(st.sampled_from(["add", "replace", "sgd"])),
        lr=draw(st.floats(allow_nan=False, allow_infinity=False)),
        rounds=draw(st.integers(1, 99_999)),
        bits=draw(st.integers(2, 32)),
        rounding=draw(st.sampled_from(["nearest", "stochastic"])),
        range=draw(st.none() | above_zero),
        max_weight=draw(st.integers(1, 2**32 - 1)),
        deadline=draw(st.integers(1, 366 * 24 * 3600)),
        metrics=metrics,
        goal=draw(goal),
        keep=draw(st.integers(0, 2**64 - 1)),
    )


@given(trainings())
def test_terms_are_read_as_they_were_written(training):
    packed = pack(training.to_map())
    found = Training.from_map(unpack(packed, "file", "header"), "file")
    assert found == training
    assert pack(found.to_map()) == packed
    assert first_plan(found).metrics == tuple(sorted(tensor_name(each.name) for each in training.metrics))


def signed(training, **changes):
    """The file of terms that nobody would write."""
    header = training.to_map() | {"kem": training.roster.kem_keys} | changes
    return written(lambda out: envelope.write(out, "training", header, sign=signer(ANNA, "training")))


def test_a_training_file_is_described():
    file = written(lambda out: write_training(TRAINING, out, ANNA))
    found = hecli.inspect(file)
    assert found["training"]["goal"] == {
        "metric": "accuracy",
        "maximize": True,
        "target": 0.9,
        "patience": 3,
    }
    assert json.dumps(found)


@pytest.mark.parametrize("target", [float("nan"), float("inf")])
def test_a_target_is_a_finite_number(target):
    """Of one that is not a number every value would be at least as good."""
    goal = {"metric": "loss", "maximize": False, "patience": 0, "target": target}
    with pytest.raises(FormatError, match=r"^file: .*a target that is no finite number"):
        Training.from_map(TRAINING.to_map() | {"goal": goal}, "file")


def test_errors_name_the_file():
    with pytest.raises(FormatError, match=r"^file: .*cannot be a name"):
        Training.from_map(TRAINING.to_map() | {"name": " x"}, "file")


def test_the_longest_metrics_fit_in_an_entry():
    worst = [chr(0x1F600 + at) * METRIC_NAME_LIMIT for at in range(METRIC_LIMIT)]
    training = replace(TRAINING, metrics=tuple(Metric(name, 1e300) for name in worst), goal=None)
    training.check()
    said = {"clipped": 2**40, "weight": 2**46, "metrics": dict.fromkeys(worst, -1.23457e-300), "seconds": 1e5}
    assert len(json.dumps(said, ensure_ascii=False)) <= TEXT_LIMIT
    for sign in '"\\':
        with pytest.raises(HecliError, match="cannot be"):
            replace(TRAINING, metrics=(Metric(sign, 1.0),), goal=None).check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"min_parties": 1}, "the fewest parties must be from 2 to 2"),
        ({"min_parties": 3}, "the fewest parties must be from 2 to 2"),
        ({"max_weight": 0}, "the largest weight must be"),
        ({"range": 2.0**600}, "impossible step"),
        (
            {"metrics": [["loss", 2.0**-600]], "goal": {"metric": "loss", "maximize": False, "patience": 0}},
            "step",
        ),
        ({"tensors": [["hecli.metric.loss", "float32", [1]]], "skipped": []}, "two tensors named"),
    ],
)
def test_terms_that_lead_to_no_plan_are_refused(changes, says):
    with pytest.raises(FormatError, match=f"no plan follows from it: .*{says}"):
        hecli.inspect(signed(TRAINING, **changes))


def test_a_round_of_a_training_has_a_roster():
    """Else whoever has the files may claim any names, by which openings about one model are told apart."""
    header = first_plan(TRAINING).to_map()
    del header["roster"]
    with pytest.raises(FormatError, match="a round of a training has no roster"):
        hecli.inspect(written(lambda out: envelope.write(out, "plan", {"plan": header})))


@given(
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=64),
    st.integers(1, 99_999),
    st.integers(1, 99_999),
)
def test_every_round_of_a_training_has_a_name(name, number, attempt):
    training = replace(TRAINING, name=name)
    try:
        training.check()
    except HecliError:
        return
    previous = bytes(32) if number > 1 else b""
    position = Position(bytes(32), number, attempt, bytes(32), previous)
    plan = derive_plan(training, position, None, bytes(16))
    assert plan.name == round_name(training, position)
    assert plan.name.startswith(name[:48])


measured = st.lists(st.tuples(st.none() | st.floats(-2.0, 2.0), st.integers(1, 100)), min_size=1, max_size=9)


@given(measured, above_zero)
def test_a_metric_is_the_weighted_mean_over_those_who_measured_it(parties, largest):
    metric = Metric("loss", largest)
    total = 0.0
    for value, weight in parties:
        given_ = {} if value is None else {"loss": value * largest}
        total = total + weight * to_tensors([metric], given_)[tensor_name("loss")]
    means = {tensor_name("loss"): total / sum(weight for _, weight in parties)}
    found = to_means([metric], means)
    who = [(min(max(value, -1.0), 1.0), weight) for value, weight in parties if value is not None]
    if not who:
        assert found == {}
    else:
        mean = sum(value * weight for value, weight in who) / sum(weight for _, weight in who)
        assert found["loss"] == pytest.approx(mean * largest, rel=1e-9, abs=1e-9 * largest)
