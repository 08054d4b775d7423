"""Whole trainings in one process: members that take their steps in turns, and can be killed."""

import io
import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import hecli
from hecli.executors.processes import processes
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.identity.files import read_identity
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.schemes.paillier.scheme import Paillier
from hecli.storage import local
from hecli.storage.confined import Confined
from hecli.storage.local import LOCAL
from hecli.storage.use_record import remember, was_used
from hecli.training.joining import join, open_ledger, own_folder, read_terms, take_model
from hecli.training.own import Own
from hecli.training.session import Secrets, Session, Settings
from hecli.training.starting import start
from hecli.training.stepping import Awaits, Did, Over, step
from tests.support import KEY, PUBLIC

MODEL = {"b": np.zeros(4, np.float32), "w": np.full((3, 4), 0.5, np.float32)}
COORDINATOR = "registry"
PATIENCE = 60


class Killed(BaseException):
    """A run that ends here, as by kill -9."""


class Scene:
    """A training in a folder, and its members."""

    def __init__(self, root, parties=4, *, key=KEY, masks=None, model=MODEL, names=None, **terms):
        self.root, self.key = Path(root), key
        self.shared = self.root / "shared"
        self.people = self.root / "people"
        for folder in (self.root, self.shared, self.people):
            folder.mkdir(exist_ok=True)
        self.parties = names or [f"party-{at}" for at in range(1, parties + 1)]
        self.identities = {name: Identity.generate(name) for name in [*self.parties, COORDINATOR]}
        for name, identity in self.identities.items():
            hecli.write_identity(identity, self.people / f"{name}.id")
        if key is not None:
            hecli.write_private_key(key, self.root / "hecli.key")
        self.said = {name: [] for name in self.identities}
        self.targets = {name: float(at) for at, name in enumerate(self.parties, 1)}
        self.options = {}
        self.begin(model, masks, terms)

    def begin(self, model, masks, terms):
        cards = {name: each.card for name, each in self.identities.items()}
        coordinator = cards[COORDINATOR]
        roster = Roster.of(
            [cards[name] for name in self.parties], [coordinator], [coordinator], coordinator=coordinator
        )
        masking = None if masks is None else hecli.Masking(masks)
        scheme = hecli.Masks(masking) if self.key is None else Paillier.of(PUBLIC, masking=masking)
        public = io.BytesIO()
        hecli.write_public_key(PUBLIC, public)
        public.seek(0)
        defaults = {
            "name": "trial",
            "roster": roster,
            "skipped": (),
            "rule": "add",
            "lr": 1.0,
            "rounds": 2,
            "bits": 16,
            "rounding": "nearest",
            "range": None,
            "max_weight": 1,
            "min_parties": 2,
            "deadline": 3600,
            "keep": 0,
        }
        self.begun = start(
            Confined(str(self.shared)),
            of_arrays(model),
            self.identities[COORDINATOR],
            scheme,
            key=None if self.key is None else public,
            **(defaults | terms),
        )
        return self.begun

    def train(self, name):
        """A command that moves every value half-way to the party's own target."""
        return ["python3", "-c", _TRAIN, str(self.targets[name])]

    def session(self, name, **options):
        """A new run of a member, as after a start of hecli run."""
        options = self.options | options
        path = self.people / f"{name}.id"
        with path.open("rb") as stream:
            identity = read_identity(open_reader(stream), lambda: "")
        shared, own = (
            options.pop("shared", None) or Confined(str(self.shared)),
            Own(LOCAL, own_folder(str(path))),
        )
        terms = read_terms(shared)
        join(terms, own, identity, options.pop("accept", lambda *_: True))
        again = options.pop("again", False)
        opens = name == COORDINATOR and self.key is not None
        secrets = Secrets(
            key=self.key if opens else None,
            share=None,
            opened=remember(str(self.root / "hecli.key"), "opened") if opens else None,
            masked=remember(str(path), "masked", again=again),
            sent=remember(str(path), "sent", again=again),
            was_sent=lambda model: was_used(str(path), "sent", model),
            answered=remember(str(path), "answered"),
        )
        settings = Settings(
            train=options.pop("train", self.copying(name) if name in self.parties else None),
            limit=options.pop("limit", None),
            check=options.pop("check", None),
            max_step=options.pop("max_step", None),
            format="npz",
            again=again,
            work=processes(1),
        )
        assert not options
        ledger = open_ledger(shared, terms, own)
        take_model(shared, terms, own, "npz")
        return Session(
            identity,
            terms.training,
            terms.digest,
            shared,
            own,
            settings,
            secrets,
            self.said[name].append,
            ledger,
        )

    def copying(self, name):
        """A quick command that gives the party's own weights, whatever the model is."""
        made = self.root / f"made-{name}.npz"
        if not made.exists():
            np.savez(made, **{each: np.full_like(value, self.targets[name]) for each, value in MODEL.items()})
        lines = (
            f'cp "{made}" "$HECLI_UPDATE"',
            f"echo '{json.dumps({'loss': self.targets[name]})}' > \"$HECLI_METRICS\"",
            'echo 1 > "$HECLI_WEIGHT"',
        )
        return ["sh", "-c", "; ".join(lines)]

    def run(self, sessions, until=None):
        """Let members take steps in turns, until all wait for somebody else, are done, or `until` says so."""
        ended = {}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            moved = False
            for session in sessions:
                if isinstance(ended.get(session.name), Over):
                    continue
                ended[session.name] = outcome = step(session)
                if isinstance(outcome, Did):
                    moved = True
                    session.say(outcome.text)
                if until is not None and until(self):
                    return ended
            if not moved:
                return ended
        raise AssertionError("the training does not come to an end")

    def all(self, **options):
        return [self.session(name, **options) for name in [COORDINATOR, *self.parties]]

    def model(self, name, which="last"):
        with (self.people / f"{name}.run" / f"model-{which}.npz").open("rb") as stream:
            return to_arrays(open_tensors(stream, name))

    def folder(self, number, attempt=1):
        return self.shared / (f"round-{number:04}" + (f"-{attempt}" if attempt > 1 else ""))

    def file(self, name, suffix, number=1):
        return self.folder(number) / f"{self.identities[name].card.fingerprint}{suffix}"

    def copy_to(self, root):
        """The same training in another place."""
        other = object.__new__(Scene)
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        other.__dict__.update(self.__dict__)
        other.root, other.shared, other.people = Path(root), Path(root) / "shared", Path(root) / "people"
        other.said = {name: list(lines) for name, lines in self.said.items()}
        return other


_TRAIN = """
import os, sys, numpy as np
model = dict(np.load(os.environ["HECLI_MODEL"]))
target = float(sys.argv[1])
np.savez(os.environ["HECLI_UPDATE"], **{k: v + (target - v) / 2 for k, v in model.items()})
"""


@contextmanager
def killed_at(monkeypatch, count):
    """End this run at the count-th time that it touches a file, before it does; count what there was."""
    seen = [0]

    def wrap(owner, name):
        original = getattr(owner, name)

        def wrapped(*args, **kwargs):
            seen[0] += 1
            if seen[0] == count:
                raise Killed
            return original(*args, **kwargs)

        patch.setattr(owner, name, wrapped)

    with monkeypatch.context() as patch:
        for owner, names in (
            (local.LocalStore, ("open", "create", "claim")),
            (Confined, ("open", "list", "remove")),
            (local, ("_publish", "_sync_folder")),
        ):
            for name in names:
                wrap(owner, name)
        yield seen


__all__ = ["COORDINATOR", "MODEL", "Awaits", "Did", "Killed", "Over", "Scene", "killed_at"]
