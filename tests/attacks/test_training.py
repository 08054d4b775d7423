"""Coordinators, aggregators, keyholders, folders and other parties, against the members of a training."""

import pytest

from hecli.training.stepping import Awaits, Did, Over, step
from tests.attacks.training import (
    changed_file,
    copied,
    events,
    handed_in,
    history_of,
    steps,
)
from tests.trainings import COORDINATOR

# The folder: whoever can write to it.


@pytest.mark.parametrize("order", [1, -1])
def test_a_folder_has_one_party_s_update_lie_under_another_s_name(tmp_path, order):
    """It counts once at most, for the party who made it, and makes nobody's own update void."""
    scene = handed_in(tmp_path, without=("party-1", "party-2", "party-3"))
    first, second, third = sorted(scene.parties, key=lambda x: scene.identities[x].card.fingerprint)[::order]
    for name in (first, third):
        steps(scene.session(name))
    copied(scene.file(first, ".enc"), scene.file(second, ".enc"))
    aggregator = scene.session(COORDINATOR)
    assert step(aggregator) == Awaits("updates", (second,), 1)
    assert any(f"the file of {second} is left out" in line for line in scene.said[COORDINATOR])
    step(scene.session(second))
    ended = scene.run([aggregator, *(scene.session(name) for name in scene.parties)])
    assert isinstance(ended[COORDINATOR], Over)
    assert len(events(scene, "closed")) == 2


def test_a_folder_takes_a_signature_off_for_a_while_to_have_an_update_void(tmp_path):
    """A file's digest says nothing of who signed it."""
    scene = handed_in(tmp_path)
    file = scene.file("party-2", ".enc")
    whole = file.read_bytes()
    file.write_bytes(changed_file(file))
    aggregator = scene.session(COORDINATOR)
    assert step(aggregator) == Awaits("updates", ("party-2",), 1)
    file.write_bytes(whole)
    assert isinstance(step(aggregator), Did)
    assert len(history_of(scene).rounds[0].closed) == 1
    assert isinstance(steps(aggregator), Awaits)
    assert len(events(scene, "closed")) == 1
    assert events(scene, "opened")
