"""Who is in a round of a training, whatever somebody with the folder does."""

import os
import shutil

import pytest

from tests.trainings import COORDINATOR, Over, Scene


@pytest.mark.parametrize("later", [False, True])
def test_an_update_copied_to_anothers_name_changes_nothing(tmp_path, later):
    """Whether the copy is looked at before or after the file itself."""
    scene = Scene(tmp_path, 3, rounds=1)
    first, *others = sorted(scene.parties, key=lambda name: scene.file(name, ".enc"))
    absent = others[-1] if later else first
    copied = first if later else others[-1]
    here = [name for name in scene.parties if name != absent]
    scene.run([scene.session(name) for name in [COORDINATOR, *here]])
    shutil.copy(scene.file(copied, ".enc"), scene.file(absent, ".enc"))
    scene.run([scene.session(name) for name in [COORDINATOR, *here]])
    assert any(f"is no update of {absent}" in line for line in scene.said[COORDINATOR])
    (plan,) = (scene.people / f"{COORDINATOR}.run" / "round-0001").glob("*.plan")
    os.utime(plan, (0, 0))
    ended = scene.run([scene.session(name) for name in [COORDINATOR, *here]])
    assert all(isinstance(outcome, Over) and not outcome.failed for outcome in ended.values())
    closed = f"round 1: closed with 2 of 3 parties, without {absent}"
    assert closed in scene.said[COORDINATOR]
