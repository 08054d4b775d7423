"""Whoever has one update, and looks for the image it was made of in what travels otherwise than encrypted.

A gradient of one image gives that image away: in the first layer, what the
weights of a neuron get over what its bias gets is the image, pixel by pixel
(Phong et al., IEEE TIFS 2018). It takes no more than reading.
"""

import runpy
from dataclasses import replace

import numpy as np
import pytest

import hecli
from hecli.codec import bits
from hecli.plan.parts import Published
from tests.attacks.scene import NAMES, PEOPLE, ROSTER, aggregate, decrypt
from tests.support import PUBLIC, SAMPLES, body, enrollments_of, unrecorded, written

TRAIN = runpy.run_path(str(SAMPLES / "train.py"))
MODEL, DATA = TRAIN["load"](SAMPLES / "model.npz"), TRAIN["load"](SAMPLES / "party-1.data.npz")
IMAGES = TRAIN["scaled"](DATA["images"])
PIXELS, NEURONS = MODEL["hidden.weight"].shape
TRIALS = range(0, 200, 20)


def gradient(at):
    """What a party sends that learns from one image."""
    return TRAIN["gradient"](MODEL, IMAGES[at : at + 1], DATA["labels"][at : at + 1])


def a_plan(**parts):
    return hecli.make_plan(gradient(0), PUBLIC, roster=ROSTER, value_range=1.0, **parts)


def update(plan, at):
    """What lies in the folder, section by section."""
    return body(file_of(plan, "alice", gradient(at)))


def file_of(plan, name, values):
    options = {"identity": PEOPLE[name], "record": unrecorded, "jobs": 1}
    options["enrollments"] = enrollments_of(plan, PEOPLE.values())
    return written(lambda out: hecli.encrypt(values, out, PUBLIC, plan=plan, **options))


def read(plan, section, parties=1):
    """The first layer's bias and weights, as far as a section tells them: zeros where it does not."""
    (part,) = plan.geometry.others
    lanes, _ = bits.unpack(section, part.packing.width, part.packing.lanes, part.packing.size)
    values = lanes[:, 1:].reshape(-1)[: part.values].astype(np.float64)
    values -= parties * plan.codec.quantise.qmax
    found = np.zeros(plan.geometry.values)
    found[[at for start, stop in part.runs for at in range(start, stop)]] = values
    return found[:NEURONS], found[NEURONS : NEURONS + PIXELS * NEURONS].reshape(PIXELS, NEURONS)


def image_in(bias, weights):
    """Divide, for the neuron that learnt the most."""
    neuron = np.abs(bias).argmax()
    return weights[:, neuron] / (bias[neuron] or 1)


def likeness(found, at):
    """The correlation of what was found with the image; 0 of nothing."""
    return np.corrcoef(found, IMAGES[at])[0, 1] if found.any() else 0.0


def test_a_first_layer_in_the_clear_is_the_image():
    plan = a_plan(plain=["hidden.*"])
    for at in TRIALS:
        found = image_in(*read(plan, update(plan, at)["plain"]))
        assert np.abs(found - IMAGES[at]).max() < 0.02


def test_nearly_everything_encrypted_is_not_enough():
    """One neuron of 48 in the clear, 1.8 % of all values: the image, whenever that neuron learns."""
    neuron = int(np.sum([gradient(at)["hidden.bias"] != 0 for at in range(100)], axis=0).argmax())
    of_weights = tuple((NEURONS * at + neuron, NEURONS * at + neuron + 1) for at in range(PIXELS))
    one = (
        Published("hidden.bias", ((neuron, neuron + 1),)),
        Published("hidden.weight", of_weights),
    )
    plan = replace(a_plan(), plain=one)
    assert plan.geometry.main.values / plan.geometry.values > 0.98
    found = [likeness(image_in(*read(plan, update(plan, at)["plain"])), at) for at in TRIALS]
    assert sum(each > 0.99 for each in found) >= len(TRIALS) // 2


@pytest.mark.parametrize("parts", [{"masked": ["hidden.*"]}, {}], ids=["masked", "encrypted"])
def test_a_first_layer_that_is_hidden_shows_nothing(parts):
    """The same division, of what lies there in its place."""
    plain, plan = a_plan(plain=["hidden.*"]), a_plan(**parts)
    for at in TRIALS:
        section = update(plan, at)["masked" if parts else "lanes"]
        size = plain.geometry.others[0].blocks * plain.geometry.others[0].carrier.block_size
        assert len(section) >= size
        assert abs(likeness(image_in(*read(plain, section[:size])), at)) < 0.7


def test_a_few_values_of_the_last_layer_say_what_is_in_the_image():
    """Its bias, ten values of 3,610: the one that gets less is the label."""
    plan = a_plan(plain=["output.bias"])
    (part,) = plan.geometry.others
    for at in TRIALS:
        lanes, _ = bits.unpack(update(plan, at)["plain"], part.packing.width, part.packing.lanes, 1024)
        assert lanes[0, 1:11].argmin() == DATA["labels"][at]


def test_whoever_has_the_aggregate_reads_the_sum_of_what_masks_alone_hide():
    """Where nobody may drop out all masks have cancelled in it; of the rest there is nothing to read."""
    plan = a_plan(masked=["hidden.*"])
    files = [file_of(plan, name, gradient(at)) for at, name in enumerate(NAMES)]
    mean = read(plan, body(aggregate(files))["masked"], len(NAMES))[0] * plan.codec.quantise.steps[0]
    true = np.sum([gradient(at)["hidden.bias"] for at in range(len(NAMES))], axis=0)
    assert np.abs(mean - true).max() < 1e-3


def test_a_party_sends_what_another_published():
    """Nothing forbids it: everybody may know those values, and there is nothing to prove."""
    plan = a_plan(plain=["hidden.*"])
    alice = file_of(plan, "alice", gradient(0))
    copied = {name: gradient(0)[name] for name in ("hidden.bias", "hidden.weight")}
    mallory = file_of(plan, "mallory", gradient(20) | copied)
    assert body(mallory)["plain"] == body(alice)["plain"]
    others = [file_of(plan, name, gradient(40)) for name in ("bob", "carol")]
    assert decrypt(aggregate([alice, mallory, *others]), [alice, mallory, *others])
