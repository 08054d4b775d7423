"""The seams hold: what is new is one module and one entry in its registry, and nothing elsewhere."""

import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import hecli
from hecli.codec import chain
from hecli.codec.chain import Codec
from hecli.codec.pack import Pack
from hecli.codec.quantise import Quantise
from hecli.errors import FormatError, MismatchError
from hecli.formats.canonical import fields
from hecli.formats.kinds import KINDS
from hecli.inspection import inspect
from hecli.plan.data import Plan
from hecli.schemes import registry
from tests.support import PUBLIC, body, decrypted, encrypted, reader, rewritten
from tests.toy import Toy, ToyKey, write_toy_key

SECRET = ToyKey(987654321 << 300)
LARGE = 1_300_000
"""Bytes of a ciphertext of a lattice scheme."""


@pytest.fixture
def toy(monkeypatch):
    """The one place in which a scheme is registered."""
    monkeypatch.setitem(registry.SCHEMES, Toy.name, Toy)


def toy_files(place):
    for suffix, kind in (("pub", "public key"), ("key", "private key")):
        with (place / f"toy.{suffix}").open("wb") as out:
            write_toy_key(SECRET, out, kind)
    (place / "toy.key").chmod(0o600)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("padding", [0, LARGE])
def test_a_toy_scheme_goes_through_the_whole_round(place, ok, padding):
    toy_files(place)
    rng = np.random.default_rng(7)
    shape = (3, 40) if padding else (300, 40)
    updates = {name: {"w": rng.normal(size=shape).astype(np.float32)} for name in "abc"}
    plan = hecli.make_plan(updates["a"], Toy(SECRET.fingerprint, padding), 3, bits=20, value_range=8.0)
    hecli.write_plan(plan, place / "toy.plan")
    for name, tensors in updates.items():
        np.savez(place / f"{name}.npz", **tensors)
        ok("encode", f"{name}.npz", "--plan", "toy.plan")
        source = f"{name}.int" if name == "a" else f"{name}.npz"
        said = ok("encrypt", source, "--plan", "toy.plan", "--key", "toy.pub", "--party", name, "--jobs", 2)
        assert f"{plan.geometry.blocks} ciphertexts" in said
    with (place / "a.enc").open("rb") as stream:
        sections = reader(stream).prelude.sections
    assert [each.record_size for each in sections] == [50 + 7 + padding] * 2
    ok("aggregate", "a.enc", "b.enc", "-o", "ab.agg")
    ok("aggregate", "ab.agg", "c.enc")
    ok("verify", "round.agg", "--from", "a.enc", "b.enc", "c.enc")
    ok("verify", "a.enc", "round.agg", "--plan", "toy.plan")
    assert "a toy's" in ok("inspect", "round.agg")
    assert json.loads(ok("inspect", "toy.plan", "--json"))[0]["plan"]["scheme"] == "toy"
    ok("decrypt", "round.agg", "--key", "toy.key", "--plan", "toy.plan")
    ok("apply", "round.sum", "-o", "mean.npz")
    with np.load("mean.npz") as file:
        assert np.abs(file["w"] - np.mean([each["w"] for each in updates.values()], axis=0)).max() < 1e-4
    # What is wrong is said as of any scheme.
    with pytest.raises(MismatchError, match="under the toy's key"):
        hecli.decrypt("round.agg", io.BytesIO(), ToyKey(5), unverified=True)
    with (place / "c.enc").open("rb") as stream:
        lanes = bytearray(body(stream)["lanes"])
        if padding:
            lanes[-1] = 1
            damaged = rewritten(stream, body={"lanes": bytes(lanes)})
            with pytest.raises(FormatError, match="is not padded with zeros"):
                hecli.aggregate(["a.enc", damaged], io.BytesIO())


@pytest.mark.usefixtures("toy")
def test_without_a_plan_the_key_says_which_scheme():
    out = io.BytesIO()
    hecli.encrypt({"w": np.ones(5)}, out, SECRET)
    assert hecli.inspect(out)["plan"]["scheme"] == "toy"


def test_a_scheme_that_nobody_knows_is_refused():
    """Not taken for another, nor sent in the clear."""
    plan = hecli.make_plan({"w": np.ones(5)}, Toy(SECRET.fingerprint, 0), 3)
    out = io.BytesIO()
    hecli.write_plan(plan, out)
    with pytest.raises(FormatError, match="has the unknown scheme 'toy'"):
        hecli.read_plan(out)


@dataclass(frozen=True)
class EveryOther:
    """A step of the tests alone, which sends every other value, and zero for the rest."""

    name: ClassVar[str] = "every-other"
    leaves_out: ClassVar[bool] = True
    exact_bits: ClassVar[int] = 0

    def to_map(self):
        return {"step": self.name}

    @classmethod
    def parse(cls, value, file):
        fields(value, file, "its codec", {"step": str})
        return cls()

    def describe(self):
        return "every other value"

    def check(self, specs):
        """Everything can be done to all tensors."""

    def size(self, tensor, values):
        return -(-values // 2)

    def encode(self, tensor, values, encoding):
        # Pieces have an even number of values, but for the last.
        return (piece[::2] for piece in values)

    def decode(self, tensor, values, decoding, size):
        for piece in values:
            found = np.zeros(2 * len(piece))
            found[::2] = piece
            yield found


def test_a_step_of_the_codec_is_added_by_the_plan(monkeypatch):
    monkeypatch.setitem(chain.STEPS, EveryOther.name, EveryOther)
    tensors = {"w": np.arange(6.0), "x": np.arange(4.0) / 8}
    plain = hecli.make_plan(tensors, PUBLIC, 3)
    quantise = Quantise(20, "nearest", (2.0**-10, 2.0**-12))
    codec = Codec(quantise, Pack(), (EveryOther(),))
    plan = Plan("half", plain.id, plain.tensors, codec, plain.scheme, 3)
    assert plan.geometry.sizes == (3, 2)
    files = [encrypted(tensors, plan) for _ in range(2)]
    aggregate = io.BytesIO()
    hecli.aggregate(files, aggregate)
    mean = hecli.mean(decrypted(aggregate))
    assert mean["w"].tolist() == [0, 0, 2, 0, 4, 0]
    assert mean["x"].tolist() == [0, 0, 0.25, 0]
    monkeypatch.undo()
    with pytest.raises(FormatError, match="unknown step 'every-other'"):
        hecli.inspect(files[0])


def test_every_kind_of_file_is_described():
    assert inspect._DESCRIBE.keys() == KINDS.keys()


def test_names_of_schemes_and_steps_are_their_keys():
    for table in (registry.SCHEMES, chain.STEPS, chain.PACKS):
        assert all(name == each.name for name, each in table.items())
        assert max(Counter(each.name for each in table.values()).values()) == 1
