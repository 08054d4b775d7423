"""The sum of a round: who publishes it, and what the others do until it is there."""

import shutil
from datetime import UTC, datetime

from hecli.ledger.chain import read_ledger
from hecli.storage.confined import Confined
from hecli.training.joining import read_terms
from hecli.training.session import LEDGER
from hecli.training.status import read_status
from hecli.training.stepping import Awaits, Did, step
from tests.trainings import COORDINATOR, Scene


def opened(tmp_path):
    """A training in which the first sum was just recorded, and its members."""
    scene = Scene(tmp_path, 2, rounds=1)
    members = scene.all()
    scene.run(members, until=lambda it: any("opened in" in line for line in it.said[COORDINATOR]))
    return scene, members


def test_others_wait_for_the_sum_until_its_maker_published_it(tmp_path):
    scene, (keyholder, *parties) = opened(tmp_path)
    for party in parties:
        assert step(party) == Awaits("the sum", (COORDINATOR,), 1)
    (scene.folder(1) / "round.sum").write_bytes(b"another")
    assert step(parties[0]) == Awaits("the sum", (COORDINATOR,), 1)
    assert isinstance(step(keyholder), Did)
    for party in parties:
        assert isinstance(step(party), Did)
    assert (scene.model("party-1")["w"] == scene.model(COORDINATOR)["w"]).all()


def test_whoever_applies_before_the_coordinator_has_no_other_model(tmp_path):
    scene, (_, *parties) = opened(tmp_path)
    (total,) = (scene.people / f"{COORDINATOR}.run" / "round-0001").glob("*.sum")
    shutil.copy(total, scene.folder(1) / "round.sum")
    for party in parties:
        step(party)
    shared = Confined(str(scene.shared))
    (found,) = read_status(shared, read_terms(shared), read_ledger(shared, LEDGER), datetime.now(UTC))[
        "rounds"
    ]
    assert found["applied"] == scene.parties
    assert found["differing"] == []
