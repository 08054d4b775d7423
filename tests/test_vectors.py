"""The golden vectors: good ones are read and made again, bad ones are refused for their reason."""

import hashlib
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import hecli
from hecli.errors import HecliError
from hecli.formats.cards import Card
from hecli.identity.signatures import Identity
from hecli.rounds.answer import answer
from hecli.rounds.partials import combine, make_partial
from hecli.schemes.paillier.shares import read_share, read_threshold_key
from tests.support import HERE, KEY, aggregated, decrypted, mean_of, reader, written

VECTORS = HERE / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())
GOOD, BAD = INDEX["good"], INDEX["bad"]


def load(name):
    return io.BytesIO((VECTORS / "good" / name).read_bytes())


def test_the_vectors_are_what_their_generator_makes(tmp_path):
    (tmp_path / "keys").mkdir()
    subprocess.run([sys.executable, VECTORS / "make.py", tmp_path], check=True)
    shutil.rmtree(tmp_path / "keys")
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {
        path.relative_to(VECTORS): path.read_bytes()
        for folder in ("good", "bad", "index.json")
        for path in ((VECTORS / folder).iterdir() if (VECTORS / folder).is_dir() else [VECTORS / folder])
    }
    assert made == kept
    assert len(GOOD) > 10
    assert len(BAD) > 70


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_accepted(name):
    facts = hecli.inspect(load(name))
    assert facts["digests"] == "hold"
    if "digest" in facts:
        assert facts["digest"] == GOOD[name]


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_for_their_reason(name):
    data = io.BytesIO((VECTORS / "bad" / name).read_bytes())
    with pytest.raises(HecliError) as error:
        if name.startswith("combine-"):
            other = load("shared-3.part")
            with (VECTORS / "good" / "shared.pub").open("rb") as stream:
                key = read_threshold_key(stream)
            combine(load("shared.agg"), [data, other], io.BytesIO(), key, jobs=1)
        elif name.startswith("decrypt-"):
            hecli.decrypt(data, io.BytesIO(), KEY, jobs=1)
        else:
            hecli.inspect(data)
    assert BAD[name] in error.value.message


def test_the_keys_open():
    key = hecli.read_private_key(load("key.key"), lambda: "")
    assert key == KEY
    assert hecli.read_private_key(load("sealed.key"), lambda: INDEX["passphrase"]) == KEY
    assert hecli.read_public_key(load("key.pub")) == KEY.public


def test_the_round_is_made_again_byte_for_byte():
    aggregate = aggregated(load("a.enc"), load("unnamed.enc"))
    assert aggregate.getvalue() == load("round.agg").getvalue()
    assert decrypted(aggregate).getvalue() == load("round.sum").getvalue()


def test_the_signed_round_is_made_again_byte_for_byte():
    """Ed25519 signatures have no randomness."""
    with (VECTORS / "good" / "alice.id").open("rb") as stream:
        alice = hecli.read_identity(stream, str)
    assert alice == hecli.read_identity(load("sealed.id"), lambda: INDEX["passphrase"])
    assert written(lambda out: hecli.write_card(alice, out)).getvalue() == load("alice.card").getvalue()
    aggregate = io.BytesIO()
    hecli.aggregate([load("bob.enc"), load("alice.enc")], aggregate, identity=alice, jobs=1)
    made, kept = (reader(each) for each in (aggregate, load("signed.agg")))
    assert (made.digest, made.header) == (kept.digest, kept.header)
    hecli.verify_aggregate(load("signed.agg"), [load("alice.enc"), load("bob.enc")], jobs=1)
    assert mean_of(load("signed.sum"))["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_the_key_in_shares_opens_byte_for_byte():
    with (VECTORS / "good" / "shared.pub").open("rb") as stream:
        key = read_threshold_key(stream)
    share = read_share(load("shared-1.share"), str)
    assert share.key == key
    mine = io.BytesIO()
    make_partial(load("shared.agg"), mine, share, jobs=1)
    made, kept = (reader(each) for each in (mine, load("shared-1.part")))
    # But for the proof, which is random.
    assert made.header == kept.header
    assert made.read(2) == kept.read(2)
    for partial in (mine, load("shared-1.part")):
        out = io.BytesIO()
        partial.seek(0)
        combine(load("shared.agg"), [load("shared-3.part"), partial], out, key, jobs=1)
        assert mean_of(out)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)


def test_the_masked_round_is_made_again_byte_for_byte():
    plan = hecli.read_plan(load("masked.plan"))
    with (VECTORS / "good" / "alice.id").open("rb") as stream:
        alice = hecli.read_identity(stream, str)
    tensors = io.BytesIO()
    np.savez(tensors, bias=np.array([0.25, -1], np.float32), weight=np.array([[1, 0.5], [-63.5, 100]]))
    mine = io.BytesIO()
    hecli.encrypt(tensors, mine, None, plan=plan, identity=alice, weight=10)
    assert mine.getvalue() == load("masked-alice.enc").getvalue()
    aggregate = io.BytesIO()
    hecli.aggregate([load("masked-bob.enc"), mine], aggregate, identity=alice, jobs=1)
    assert reader(aggregate).digest == reader(load("masked.agg")).digest


def test_the_round_with_a_dropout_opens():
    """Enrolled, masked and answered by integers, hashlib and cryptography alone."""
    plan = hecli.read_plan(load("dropouts.plan"))
    names = [f"{name}.enroll" for name in ("alice", "bob", "carol")]
    total = io.BytesIO()
    anna = Identity(Card("anna", *plan.roster.cards["anna"][1:]), hashlib.sha256(b"sign anna").digest(), b"")
    hecli.decrypt(
        load("dropouts.agg"),
        total,
        None,
        plan=plan,
        identity=anna,
        enrollments=[load(name) for name in names],
        answers=[load("carol.ans"), load("bob.ans")],
    )
    assert mean_of(total)["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)
    tensors = io.BytesIO()
    np.savez(tensors, bias=np.array([0.25, -1], np.float32), weight=np.array([[1, 0.5], [-63.5, 100]]))
    with (VECTORS / "good" / "alice.id").open("rb") as stream:
        alice = hecli.read_identity(stream, str)
    mine = io.BytesIO()
    enrollments = [load(name) for name in names]
    hecli.encrypt(tensors, mine, None, plan=plan, identity=alice, enrollments=enrollments, weight=10)
    assert mine.getvalue() == load("dropouts-alice.enc").getvalue()
    mine = io.BytesIO()
    bob = Identity(
        plan.roster.cards["bob"], *(hashlib.sha256(key + b" bob").digest() for key in (b"sign", b"agree"))
    )
    answer(load("dropouts.agg"), mine, bob, [load(name) for name in names])
    assert mine.getvalue() == load("bob.ans").getvalue()


def test_the_encoded_file_is_made_again_byte_for_byte():
    plan = hecli.read_plan(load("round.plan"))
    tensors = io.BytesIO()
    np.savez(tensors, bias=np.array([0.25, -1], np.float32), weight=np.array([[1, 0.5], [-63.5, 100]]))
    out = io.BytesIO()
    hecli.encode(tensors, out, plan, weight=10)
    assert out.getvalue() == load("a.int").getvalue()


def test_the_mean_is_what_the_specification_says():
    mean = mean_of(load("round.sum"))
    # (S - k*qmax) * step * W / total weight
    assert mean["bias"] == pytest.approx(np.array([3, -3]) * 0.25 * 10 / 15)
    assert mean["weight"] == pytest.approx(np.array([[4, -1], [-127 + 4, 127 - 4]]) * 0.5 * 10 / 15)


def test_the_tensors_are_read():
    from hecli.formats.tensors.reading import open_tensors

    opened = open_tensors(load("some.tensors"), "file")
    assert [np.concatenate(list(opened.read(spec))).tolist() for spec in opened.specs] == [[1.5], [-1, 7]]
