"""A training to attack: how far it is, and what a dishonest member's own software can put into its folder."""

import io
import posixpath
import shutil
from dataclasses import replace

import pytest

from hecli.errors import HecliError
from hecli.formats.reader import open_reader
from hecli.ledger.chain import append, read_ledger
from hecli.plan.data import ID_SIZE
from hecli.plan.files import read_plan, write_plan
from hecli.plan.position import Position
from hecli.storage.confined import Confined
from hecli.training.deriving import derive_plan
from hecli.training.history import read_history
from hecli.training.joining import read_terms
from hecli.training.session import LEDGER
from hecli.training.stepping import Did, step
from tests.support import rewritten
from tests.trainings import COORDINATOR, Scene

ALONE = {"key": None, "masks": 0}
"""The quickest: masks alone, from which nobody may drop out."""


def store(scene):
    return Confined(str(scene.shared))


def ledger_of(scene):
    return read_ledger(store(scene), LEDGER)


def history_of(scene):
    return read_history(ledger_of(scene), scene.begun.training)


def says(scene, name, event, **fields):
    """An entry of a member, whatever its own hecli would have made."""
    return append(store(scene), LEDGER, ledger_of(scene), scene.identities[name], event, **fields)


def events(scene, event):
    return [link for link in ledger_of(scene).links if link.entry.event == event]


def honest_plan(scene, id=bytes(ID_SIZE)):
    """The plan of the first round, as it follows from the terms."""
    training, terms = scene.begun.training, read_terms(store(scene)).digest
    return derive_plan(training, Position(terms, 1, 1, training.model, b""), None, id)


def plan_in(scene, number=1):
    with store(scene).open(f"round-{number:04}/round.plan") as stream:
        return read_plan(open_reader(stream))


def put_plan(scene, plan, folder="round-0001"):
    """A plan in the folder and in the ledger, signed by the coordinator."""
    with store(scene).create(posixpath.join(folder, "round.plan"), replace=True) as out:
        digest = write_plan(plan, out, scene.identities[COORDINATOR])
    says(scene, COORDINATOR, "plan", plan=plan.digest, files=[("round.plan", digest)], text=plan.name)
    return plan


def another(plan):
    """A plan about the same model, as good as the first."""
    return replace(plan, id=bytes([1]) * ID_SIZE)


def listed(scene, names, suffix=".enc", number=1):
    """The files of some parties as an entry lists them."""
    found = []
    for name in names:
        with scene.file(name, suffix, number).open("rb") as stream:
            found.append((scene.file(name, suffix, number).name, open_reader(stream).digest))
    return found


def files_of(scene, name):
    """All that a member has put into the folder: files under its card, and entries."""
    fingerprint = scene.identities[name].card.fingerprint
    return [
        *scene.shared.rglob(f"{fingerprint}*"),
        *(x for x in ledger_of(scene).links if x.signer.name == name),
    ]


def has_sent(scene, name):
    """Whether a member's update is, or was, in the folder, or could be on its way."""
    return scene.file(name, ".enc").exists() or (scene.people / f"{name}.id.sent").exists()


def steps(session, most=20):
    """Let one member do what it can; how it ends."""
    for _ in range(most):
        outcome = step(session)
        if not isinstance(outcome, Did):
            return outcome
        session.say(outcome.text)
    raise AssertionError("it goes on and on")


def planned(root, parties=3, **options):
    """A training whose first round is planned; where there are masks, all have enrolled."""
    scene = Scene(root, parties, **(ALONE | options))
    steps(scene.session(COORDINATOR))
    scene.enroll()
    return scene


def handed_in(root, parties=3, without=(), **options):
    """A training of whose first round all updates are there, but for those of some; not closed yet."""
    scene = planned(root, parties, **options)
    sessions = [scene.session(name) for name in scene.parties]
    for each in sessions:
        while each.name not in without and not scene.file(each.name, ".enc").exists():
            assert isinstance(step(each), Did)
    return scene


def opened(root, parties=3, **options):
    """A training whose first sum is open, and applied by no party."""
    scene = Scene(root, parties, **(ALONE | options))
    scene.run(scene.all(), until=lambda _: (scene.folder(1) / "round.sum").exists())
    return scene


def refused(session, match=None):
    """Let a member go on, which has to end in an error."""
    with pytest.raises(HecliError, match=match) as error:
        steps(session)
    return error.value


def move_away(scene, name):
    """The member's own folder is gone, its identity and the records beside it are there."""
    shutil.rmtree(scene.people / f"{name}.run")


def copied(source, target):
    target.write_bytes(source.read_bytes())


def changed_file(path, header=None, body=None, sign=None):
    """A file with other contents and true digests."""
    return rewritten(io.BytesIO(path.read_bytes()), header=header, body=body, sign=sign).getvalue()
