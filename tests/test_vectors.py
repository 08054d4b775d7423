"""The golden vectors: good ones are read and made again, bad ones are refused for their reason."""

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.errors import HecliError
from hecli.formats.tensors.files import open_tensors
from hecli.identity.signatures import Identity
from hecli.ledger.chain import read_ledger
from hecli.plan.position import Position
from hecli.rounds.means import means_of
from hecli.rounds.ranges import steps_after
from hecli.storage.local import LOCAL
from hecli.training.deriving import After, check_derived, coding_of, derive_plan
from hecli.training.history import read_history
from hecli.training.metrics import tensor_name, to_means
from hecli.training.models import model_digest, write_model
from hecli.training.terms import read_training, write_training
from tests.support import (
    HERE,
    KEY,
    UNCOUNTED,
    aggregated,
    body,
    decrypted,
    mean_of,
    npz,
    reader,
    unrecorded,
    written,
)

VECTORS = HERE / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())
GOOD, BAD = INDEX["good"], INDEX["bad"]
ENROLLED = ("alice", "bob", "carol", "dora")
TENSORS = {
    "bias": np.array([0.25, -1], np.float32),
    "weight": np.array([[1, 0.5], [-63.5, 100]]),
}


def load(name):
    return io.BytesIO((VECTORS / "good" / name).read_bytes())


def passphrase():
    return INDEX["passphrase"]


def alice():
    return hecli.read_identity(load("alice.id"), passphrase)


def person(name, card):
    """The identity of somebody whose secrets the generator made from the name."""
    secrets = (hashlib.sha256(label + name.encode()).digest() for label in (b"sign ", b"agree "))
    return Identity(card, *secrets, hashlib.sha512(b"kem " + name.encode()).digest())


def test_the_vectors_are_what_their_generator_makes(tmp_path):
    subprocess.run([sys.executable, VECTORS / "make.py", tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    names = ("index.json", "README.md")
    kept = {
        path.relative_to(VECTORS): path.read_bytes()
        for folder in ("good", "bad")
        for path in (VECTORS / folder).iterdir()
    } | {(VECTORS / name).relative_to(VECTORS): (VECTORS / name).read_bytes() for name in names}
    assert made == kept
    assert len(GOOD) > 60
    assert len(BAD) > 400


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_accepted(name):
    found = hecli.verify(load(name))
    assert found["digests"] == "hold"
    if "digest" in found:
        assert found["digest"] == GOOD[name]


def opened(data):
    """Use a key, share or identity as its owner would."""
    kind = reader(data).kind
    if kind == "share":
        return hecli.read_share(data, passphrase, alice())
    return {"private key": hecli.read_private_key, "identity": hecli.read_identity}[kind](data, passphrase)


def encrypted(data):
    plan = hecli.read_plan(data)
    return hecli.encrypt(TENSORS, io.BytesIO(), plan.scheme.key, plan=plan, weight=1, jobs=1)


def decrypted_with_the_key(data):
    plan = hecli.inspect(data)["plan"]
    key = KEY if "key" in plan else None
    cards = hecli.read_plan(load("masked.plan")).roster.cards
    signer = person("anna", cards["anna"]) if plan["roster"] else None
    return hecli.decrypt(data, io.BytesIO(), key, identity=signer, unverified=True, jobs=1)


def combined(data, *others):
    key = hecli.read_public_key(load("shared.pub"))
    return hecli.combine(load("shared.agg"), [data, *others], io.BytesIO(), key, jobs=1)


def joined(data, *others):
    """Join slices; the proof of a sum is made, too."""
    of = reader(data).header["of"]
    out = io.BytesIO()
    proving = {"aggregate": load("round.agg"), "key": KEY} if of == "sum" else {}
    who = alice() if of in ("attestation", "aggregate") and reader(data).signature else None
    hecli.join([data, *others], out, identity=who, jobs=1, **proving)
    return out


def masked(data, *others):
    plan = hecli.read_plan(load("dropouts.plan"))
    return hecli.encrypt(
        TENSORS,
        io.BytesIO(),
        plan=plan,
        identity=alice(),
        enrollments=[data, *others],
        weight=10,
        record=unrecorded,
        jobs=1,
    )


def unmasked(data, *others):
    return open_dropouts(io.BytesIO(), [data, *others])


def open_dropouts(out, answers):
    plan = hecli.read_plan(load("dropouts.plan"))
    return hecli.decrypt(
        load("dropouts.agg"),
        out,
        plan=plan,
        identity=person("anna", plan.roster.cards["anna"]),
        updates=[load(f"dropouts-{name}.enc") for name in ("alice", "bob", "dora")],
        enrollments=[load(f"{name}.enroll") for name in ENROLLED],
        answers=answers,
        jobs=1,
    )


def spent(encoded):
    return hecli.encrypt(encoded, io.BytesIO(), KEY.public, identity=alice(), account=UNCOUNTED, jobs=1)


USES = {
    "spend": spent,
    "inspect": hecli.inspect,
    "open": opened,
    "encrypt": encrypted,
    "aggregate": lambda *files: hecli.aggregate(
        files, io.BytesIO(), identity=alice() if reader(files[0]).signature else None, jobs=1
    ),
    "decrypt": decrypted_with_the_key,
    "verify": lambda total, aggregate: hecli.verify_sum(total, aggregate, jobs=1),
    "combine": combined,
    "join": joined,
    "mask": masked,
    "unmask": unmasked,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_for_their_reason(name):
    data = io.BytesIO((VECTORS / "bad" / name).read_bytes())
    use, _, others = BAD[name]["use"].partition(" with ")
    if use not in ("inspect", "open"):
        # Sound as far as anybody sees who only looks: the fault shows when it is used.
        hecli.inspect(data)
        data.seek(0)
    with pytest.raises(HecliError) as error:
        USES[use](data, *map(load, others.split()))
    assert BAD[name]["says"] in error.value.message


def test_every_use_of_a_bad_file_is_one_a_good_file_passes():
    hecli.read_private_key(load("key.key"), passphrase)
    opened(load("boxed-1.share"))
    opened(load("sealed-1.share"))
    encrypted(load("round.plan"))
    USES["aggregate"](load("a.enc"), load("unnamed.enc"))
    USES["aggregate"](load("masked-alice.enc"), load("masked-bob.enc"))
    USES["aggregate"](*(load(f"dropouts-{name}.enc") for name in ("alice", "bob", "dora")))
    decrypted_with_the_key(load("round.agg"))
    hecli.verify_sum(load("round.sum"), load("round.agg"))
    hecli.verify_sum(load("signed.sum"), load("signed.agg"))
    hecli.verify_sum(load("parts.sum"), load("parts.agg"))
    USES["aggregate"](load("parts-alice.enc"), load("parts-bob.enc"))
    decrypted_with_the_key(load("masked.agg"))
    decrypted_with_the_key(load("parts.agg"))
    combined(load("shared-1.part"), load("shared-3.part"), load("shared-4.part"))
    masked(*(load(f"{name}.enroll") for name in ENROLLED))
    unmasked(load("bob.ans"), load("carol.ans"), load("dora.ans"))
    spent(load("noisy.int"))


def test_the_keys_open():
    assert hecli.read_private_key(load("key.key"), str) == KEY
    assert hecli.read_private_key(load("sealed.key"), passphrase) == KEY
    assert hecli.read_public_key(load("key.pub")) == KEY.public
    assert hecli.read_identity(load("sealed.id"), passphrase) == alice()
    shares = [opened(load(f"{kind}-1.share")) for kind in ("shared", "sealed", "boxed")]
    assert {share.value for share in shares} == {shares[0].value}


def test_the_default_plans_are_derived():
    from hecli.plan.making import default_plan
    from hecli.schemes.registry import scheme_of

    for plan, key in (("default.plan", "key.pub"), ("default-shared.plan", "shared.pub")):
        kept = hecli.read_plan(load(plan))
        scheme = scheme_of(hecli.read_public_key(load(key)))
        assert default_plan(scheme, kept.tensors).digest == kept.digest


def test_the_round_is_made_again_byte_for_byte():
    aggregate = aggregated(load("a.enc"), load("unnamed.enc"))
    assert aggregate.getvalue() == load("round.agg").getvalue()
    total = decrypted(aggregate)
    made, kept = reader(total), reader(load("round.sum"))
    # But for the proofs, which are random.
    assert made.header == kept.header
    assert body(total)["lanes"] == body(load("round.sum"))["lanes"]


@pytest.mark.parametrize(
    ("model", "options", "kept"),
    [
        (None, {}, "round.tensors"),
        ("model.tensors", {"lr": 0.1}, "model-sgd.tensors"),
        ("model.tensors", {"rule": "add"}, "model-add.tensors"),
        ("model.tensors", {"rule": "replace"}, "round.tensors"),
    ],
)
def test_models_are_made_again_byte_for_byte(model, options, kept):
    out = io.BytesIO()
    hecli.apply(load("round.sum"), out, None if model is None else load(model), **options)
    assert out.getvalue() == load(kept).getvalue()


def test_skipped_tensors_stay_as_they_are():
    out = io.BytesIO()
    hecli.apply(load("skipping.sum"), out, load("more.tensors"), rule="add")
    assert out.getvalue() == load("more-add.tensors").getvalue()
    plan = hecli.read_plan(load("skipping.plan"))
    assert plan.skipped == ("m", "z")
    assert written(lambda out: hecli.write_plan(plan, out)).getvalue() == load("skipping.plan").getvalue()


@pytest.mark.parametrize(
    ("model", "options", "kept"),
    [
        (None, {}, "integers.tensors"),
        ("counters.tensors", {"lr": 0.25}, "counters-sgd.tensors"),
        ("counters.tensors", {"rule": "add"}, "counters-add.tensors"),
    ],
)
def test_integers_are_made_again_byte_for_byte(model, options, kept):
    out = io.BytesIO()
    hecli.apply(load("integers.sum"), out, None if model is None else load(model), **options)
    assert out.getvalue() == load(kept).getvalue()


def test_the_signed_round_is_made_again_byte_for_byte():
    """Ed25519 signatures have no randomness."""
    assert written(lambda out: hecli.write_card(alice(), out)).getvalue() == load("alice.card").getvalue()
    assert written(lambda out: hecli.write_identity(alice(), out)).getvalue() == load("alice.id").getvalue()
    aggregate = io.BytesIO()
    hecli.aggregate([load("bob.enc"), load("alice.enc")], aggregate, identity=alice(), jobs=1)
    made, kept = (reader(each) for each in (aggregate, load("signed.agg")))
    assert (made.digest, made.header) == (kept.digest, kept.header)
    hecli.verify_aggregate(load("signed.agg"), [load("alice.enc"), load("bob.enc")], jobs=1)
    assert mean_of(load("signed.sum"))["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_the_key_in_shares_opens_byte_for_byte():
    key = hecli.read_public_key(load("shared.pub"))
    share = hecli.read_share(load("shared-1.share"), str)
    assert share.key == key.shared
    mine = io.BytesIO()
    # Whoever made the vectors has the updates; what a share does of itself is looked at here.
    hecli.partial(load("shared.agg"), mine, replace(share, verified_only=False), unverified=True, jobs=1)
    made, kept = (reader(each) for each in (mine, load("shared-1.part")))
    # But for the proofs, which are random.
    assert made.header == kept.header
    for section in ("lanes", "control"):
        assert made.section(section).read(1) == kept.section(section).read(1)
    for partial in (mine, load("shared-1.part")):
        out = io.BytesIO()
        partial.seek(0)
        hecli.combine(
            load("shared.agg"), [load("shared-3.part"), partial, load("shared-4.part")], out, key, jobs=1
        )
        assert mean_of(out)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_slices_are_made_and_joined_byte_for_byte():
    for number in (1, 2):
        made = io.BytesIO()
        hecli.aggregate([load("a.enc"), load("unnamed.enc")], made, part=(number, 2), jobs=1)
        assert made.getvalue() == load(f"round-{number}.slice").getvalue()
    whole = joined(load("round-2.slice"), load("round-none.slice"), load("round-1.slice"))
    assert whole.getvalue() == load("round.agg").getvalue()
    for name, kept in (
        ("shared-1.part", "shared-1.part"),
        ("alice.att", "alice.att"),
        ("parts", "parts.agg"),
    ):
        whole = joined(load(f"{name}-1.slice"), load(f"{name}-2.slice"))
        assert reader(whole).digest == reader(load(kept)).digest
    total = joined(load("sum-1.slice"), load("sum-2.slice"))
    assert body(total)["lanes"] == body(load("round.sum"))["lanes"]
    hecli.verify_sum(total, load("round.agg"))


def test_the_masked_rounds_are_made_again_byte_for_byte():
    plan = hecli.read_plan(load("masked.plan"))
    mine = io.BytesIO()
    enrollments = [load(f"masked-{name}.enroll") for name in ("alice", "bob")]
    who = {"identity": alice(), "enrollments": enrollments, "record": unrecorded}
    hecli.encrypt(TENSORS, mine, plan=plan, weight=10, **who)
    assert mine.getvalue() == load("masked-alice.enc").getvalue()
    for kind in ("masked", "hidden"):
        aggregate = io.BytesIO()
        parties = [load(f"{kind}-{name}.enc") for name in ("bob", "alice")]
        hecli.aggregate(parties, aggregate, identity=alice(), jobs=1)
        assert reader(aggregate).digest == reader(load(f"{kind}.agg")).digest
        total = io.BytesIO()
        anna = person("anna", plan.roster.cards["anna"])
        key = KEY if kind == "hidden" else None
        hecli.decrypt(aggregate, total, key, updates=parties, identity=anna, jobs=1)
        assert mean_of(total)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_the_round_with_a_dropout_opens():
    """Enrolled, masked and answered by integers, hashlib and cryptography alone."""
    plan = hecli.read_plan(load("dropouts.plan"))
    total = io.BytesIO()
    open_dropouts(total, [load("carol.ans"), load("bob.ans"), load("dora.ans")])
    assert mean_of(total)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 25)
    mine = io.BytesIO()
    enrollments = [load(f"{name}.enroll") for name in ENROLLED]
    who = {"identity": alice(), "enrollments": enrollments, "record": unrecorded}
    hecli.encrypt(TENSORS, mine, plan=plan, weight=10, **who)
    assert mine.getvalue() == load("dropouts-alice.enc").getvalue()
    mine = io.BytesIO()
    bob = person("bob", plan.roster.cards["bob"])
    updates = [load(f"dropouts-{name}.enc") for name in ("alice", "bob", "dora")]
    hecli.answer(load("dropouts.agg"), mine, bob, enrollments, updates)
    assert mine.getvalue() == load("bob.ans").getvalue()


def test_the_rounds_in_parts_are_made_again_byte_for_byte():
    plan = hecli.read_plan(load("parts.plan"))
    anna = person("anna", plan.roster.cards["anna"])
    made = written(lambda out: hecli.write_plan(plan, out, anna))
    assert made.getvalue() == load("parts.plan").getvalue()
    mine = io.BytesIO()
    enrollments = [load(f"parts-two-{name}.enroll") for name in ("alice", "bob")]
    who = {"identity": alice(), "enrollments": enrollments, "record": unrecorded}
    hecli.encrypt(TENSORS, mine, KEY.public, plan=plan, weight=10, **who, jobs=1)
    for section in ("masked", "plain"):
        assert body(mine)[section] == body(load("parts-alice.enc"))[section]
    updates = [load("parts-bob.enc"), load("parts-alice.enc")]
    aggregate, total = io.BytesIO(), io.BytesIO()
    hecli.aggregate(updates, aggregate, identity=alice(), jobs=1)
    assert reader(aggregate).digest == reader(load("parts.agg")).digest
    hecli.decrypt(aggregate, total, KEY, updates=updates, identity=anna, jobs=1)
    assert body(total)["lanes"] == body(load("parts.sum"))["lanes"]
    assert mean_of(total)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_the_round_in_parts_with_a_dropout_opens():
    plan = hecli.read_plan(load("parts-dropouts.plan"))
    updates = [load(f"parts-dropouts-{name}.enc") for name in ("alice", "bob", "dora")]
    enrollments = [load(f"parts-{name}.enroll") for name in ENROLLED]
    mine, answer, total = io.BytesIO(), io.BytesIO(), io.BytesIO()
    who = {"identity": alice(), "enrollments": enrollments, "record": unrecorded}
    hecli.encrypt(TENSORS, mine, KEY.public, plan=plan, weight=10, **who, jobs=1)
    assert body(mine)["masked"] == body(updates[0])["masked"]
    bob = person("bob", plan.roster.cards["bob"])
    hecli.answer(load("parts-dropouts.agg"), answer, bob, enrollments, updates, jobs=1)
    assert answer.getvalue() == load("parts-bob.ans").getvalue()
    hecli.decrypt(
        load("parts-dropouts.agg"),
        total,
        KEY,
        updates=updates,
        identity=person("anna", plan.roster.cards["anna"]),
        enrollments=enrollments,
        answers=[load(f"parts-{name}.ans") for name in ("bob", "carol", "dora")],
        jobs=1,
    )
    assert mean_of(total)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 25)


def terms():
    return read_training(reader(load("spring.training")))


def member(name):
    return person(name, terms().roster.cards[name])


def test_terms_are_made_again_byte_for_byte():
    for name in ("spring.training", "ranged.training"):
        training = read_training(reader(load(name)))
        made = written(lambda out, terms=training: write_training(terms, out, member("anna")))
        assert made.getvalue() == load(name).getvalue()


@pytest.mark.parametrize(
    ("training", "plan", "total"),
    [
        ("spring.training", "spring-0001.plan", None),
        ("spring.training", "spring-0002.plan", "spring-0001.sum"),
        ("spring.training", "spring-0002-2.plan", "spring-0001.sum"),
        ("ranged.training", "ranged-0001-2.plan", None),
    ],
)
def test_plans_of_a_training_are_derived_byte_for_byte(training, plan, total):
    """From the terms, the model and the sum of the round before: all of it made without hecli."""
    source = reader(load(training))
    found, kept = read_training(source), hecli.read_plan(load(plan))
    after, previous, number = None, b"", 1
    if total is not None:
        first = hecli.read_plan(load("spring-0001.plan"))
        after = After(steps_after(load(total), coding_of(found, None), plan=first))
        previous, number = reader(load(total)).digest, 2
    model = model_digest(open_tensors(load(f"spring-{number - 1:04}.tensors"), "model"))
    position = Position(source.digest, number, kept.position.attempt, model, previous)
    derived = derive_plan(found, position, after, kept.id)
    check_derived(kept, derived, plan)
    made = written(lambda out: hecli.write_plan(derived, out, member("anna")))
    assert made.getvalue() == load(plan).getvalue()
    assert derived.subject == model


@pytest.mark.parametrize("field", ["training", "round", "attempt", "model", "previous"])
def test_a_plan_of_another_place_in_a_training_is_refused(field):
    kept = hecli.read_plan(load("spring-0002.plan"))
    value = getattr(kept.position, field)
    other = bytes(32) if isinstance(value, bytes) else value + 1
    found = replace(kept, position=kept.position._replace(**{field: other}))
    with pytest.raises(HecliError, match=f"another {field}$"):
        check_derived(found, kept, "file")


def test_a_model_has_one_digest_in_whatever_container():
    model = open_tensors(load("spring-0000.tensors"), "model")
    assert model_digest(model) == terms().model
    for format_ in ("npz", "safetensors"):
        out = io.BytesIO()
        write_model(model, out, format_)
        out.seek(0)
        assert model_digest(open_tensors(out, "model")) == terms().model


def test_the_round_of_a_training_is_made_again_byte_for_byte():
    updates = [load("spring-alice.enc"), load("spring-bob.enc")]
    aggregate, model = io.BytesIO(), io.BytesIO()
    hecli.aggregate(updates, aggregate, identity=member("bob"), jobs=1)
    assert aggregate.getvalue() == load("spring-0001.agg").getvalue()
    hecli.verify_sum(load("spring-0001.sum"), load("spring-0001.agg"), jobs=1)
    total = io.BytesIO()
    hecli.decrypt(load("spring-0001.agg"), total, KEY, updates=updates, identity=member("anna"), jobs=1)
    assert body(total)["lanes"] == body(load("spring-0001.sum"))["lanes"]
    training = terms()
    hecli.apply(
        load("spring-0001.sum"), model, load("spring-0000.tensors"), rule=training.rule, lr=training.lr
    )
    assert model.getvalue() == load("spring-0001.tensors").getvalue()


def test_metrics_are_read_from_the_sum_to_the_bit():
    metrics = terms().metrics
    means = means_of(load("spring-0001.sum"), {tensor_name(each.name) for each in metrics})
    assert {name: float(f"{value:.6g}") for name, value in to_means(metrics, means).items()} == INDEX[
        "metrics"
    ]
    assert INDEX["metrics"]["accuracy"] == 0.75


def test_a_model_is_opened_once_for_a_set_of_parties():
    noted = []
    updates = [load("spring-alice.enc"), load("spring-bob.enc")]
    hecli.decrypt(
        load("spring-0001.agg"),
        io.BytesIO(),
        KEY,
        updates=updates,
        identity=member("anna"),
        record=lambda *use: noted.append(use),
        jobs=1,
    )
    assert noted == [(terms().model, bytes.fromhex(INDEX["opened"]))]


def test_what_counts_in_the_ledger_of_a_training(tmp_path):
    names = [name for name in GOOD if name.startswith("spring-000000")]
    for name in names:
        (tmp_path / name.removeprefix("spring-")).write_bytes(load(name).getvalue())
    ledger = read_ledger(LOCAL, str(tmp_path))
    ledger.require_sound("ledger")
    assert len(ledger.links) == len(names) == 25
    history = read_history(ledger, terms())

    def number(link):
        return None if link is None else link.entry.number

    assert number(history.ended) == INDEX["ledger"]["ended"]
    assert [
        {
            "round": each.number,
            "attempt": each.attempt,
            "plan": number(each.plan),
            "closed": [number(link) for link in each.closed],
            "aggregate": [number(link) for link in each.aggregated],
            "opened": number(each.opened[0]) if each.opened else None,
            "applied": {name: number(link) for name, link in each.applied.items()},
            "refused": {name: number(link) for name, link in each.refused.items()},
            "abandoned": number(each.abandoned),
        }
        for each in history.rounds
    ] == INDEX["ledger"]["rounds"]
    fingerprints = terms().fingerprints
    listed = [name for name, _ in history.rounds[0].closed[0].entry.files]
    assert listed == [f"{fingerprints[name]}.enc" for name in ("alice", "bob")]


def test_the_encoded_file_is_made_again_byte_for_byte():
    out = io.BytesIO()
    hecli.encode(npz(**TENSORS), out, plan=hecli.read_plan(load("round.plan")), weight=10)
    assert out.getvalue() == load("a.int").getvalue()


def test_the_tensors_are_read():
    file = open_tensors(load("some.tensors"), "file")
    assert [np.concatenate(list(file.read(spec))).tolist() for spec in file.specs] == [[1.5], [-1, 7]]


def test_a_compressed_round_is_what_integers_say():
    """Bases, means and steps, to the last bit: made value by value, without NumPy."""
    bases = io.BytesIO()
    made = hecli.make_basis(load("whole.sum"), bases, 1)
    assert bases.getvalue() == load("right.basis").getvalue()
    plan = hecli.read_plan(load("small.plan"))
    assert plan.codec.steps[0] == made.step
    assert steps_after(load("whole.sum"), plan.codec.coding) == plan.codec.quantise.steps
    aggregate = io.BytesIO()
    hecli.aggregate([load("small-a.enc")], aggregate)
    assert reader(load("small-a.enc")).section("lanes").read(1) == reader(aggregate).section("lanes").read(1)
    total = io.BytesIO()
    hecli.decrypt(load("small.agg"), total, KEY, unverified=True)
    lanes = [reader(each).section("lanes").read(9999) for each in (total, load("small.sum"))]
    assert lanes[0] == lanes[1]
    mean = io.BytesIO()
    hecli.apply(load("small.sum"), mean, basis=load("right.basis"))
    assert mean.getvalue() == load("small.tensors").getvalue()
    bases = io.BytesIO()
    made = hecli.next_plan(plan, load("small.sum"), bases=bases)
    assert bases.getvalue() == load("left.basis").getvalue()
    assert made.codec == hecli.read_plan(load("small-2.plan")).codec


@pytest.mark.parametrize("name", ["turned", "digits"])
def test_what_is_coded_exactly_is_the_same_for_all(name):
    out = io.BytesIO()
    hecli.encode(load(f"{name}.tensors"), out, plan=hecli.read_plan(load(f"{name}.plan")))
    assert out.getvalue() == load(f"{name}.int").getvalue()


def test_the_rounds_with_noise_are_made_again_byte_for_byte():
    plan = hecli.read_plan(load("noisy.plan"))
    anna = person("anna", plan.roster.cards["anna"])
    made = written(lambda out: hecli.write_plan(plan, out, anna))
    assert made.getvalue() == load("noisy.plan").getvalue()
    # Alice's and bob's own, before noise: brought to the clip norm, and left as it is.
    tensors = {"bias": np.array([3, -4], np.float32), "weight": np.array([[0, 0], [12.0, 0]])}
    mine = io.BytesIO()
    hecli.encode(tensors, mine, plan=plan)
    assert mine.getvalue() == load("noisy.int").getvalue()
    aggregate = io.BytesIO()
    parties = [load(f"noisy-{name}.enc") for name in ("bob", "alice")]
    bob = person("bob", plan.roster.cards["bob"])
    hecli.aggregate(parties, aggregate, identity=bob, jobs=1)
    assert aggregate.getvalue() == load("noisy.agg").getvalue()
    total = io.BytesIO()
    hecli.decrypt(aggregate, total, KEY, updates=parties, identity=anna, jobs=1)
    assert body(total)["lanes"] == body(load("noisy.sum"))["lanes"]


@pytest.mark.parametrize(("name", "unit", "bits"), [("noisy", "party", 12), ("record", "record", 20)])
def test_noise_follows_from_what_is_asked_for(name, unit, bits):
    from hecli.plan.private import with_noise
    from hecli.privacy.choosing import Asked

    plan = hecli.read_plan(load(f"{name}.plan"))
    asked = Asked(unit, 1.5, None, 0.125, 1, 1e-5)
    steps, value_range = plan.codec.steps, 8.0 if unit == "record" else None
    quantise, privacy = with_noise(asked, plan.tensors, steps, 2, 2, bits, value_range)
    assert (quantise, privacy) == (plan.codec.quantise, plan.privacy)


def test_accounts_are_made_again_byte_for_byte():
    from hecli.privacy.account import read_account, write_account

    spent = read_account(reader(load("alice.id.spent")), alice().card)
    made = written(lambda out: write_account(spent, out, alice()))
    assert made.getvalue() == load("alice.id.spent").getvalue()
    plans = [hecli.read_plan(load(f"{name}.plan")) for name in ("noisy", "record", "noisy")]
    assert spent == tuple(plan.spending for plan in plans)


def test_a_training_with_noise_is_made_again_byte_for_byte():
    training = read_training(reader(load("winter.training")))
    anna = person("anna", training.roster.cards["anna"])
    made = written(lambda out: write_training(training, out, anna))
    assert made.getvalue() == load("winter.training").getvalue()
    plan = hecli.read_plan(load("winter-0001.plan"))
    check_derived(plan, derive_plan(training, plan.position, None, plan.id), "winter-0001.plan")
