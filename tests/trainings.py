"""Whole trainings in one process: members that take their steps in turns, and can be killed."""

import io
import json
import shlex
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import hecli
from hecli.executors.cores import cores
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.identity.files import read_identity
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.rounds.spending import spending
from hecli.schemes.paillier.scheme import Paillier
from hecli.storage import local
from hecli.storage.below import Below
from hecli.storage.confined import Confined
from hecli.storage.local import LOCAL
from hecli.storage.places import ANYWHERE
from hecli.storage.use_record import remember, was_used
from hecli.training.joining import join, open_ledger, own_folder, read_terms, take_model
from hecli.training.own import Own
from hecli.training.session import Secrets, Session, Settings
from hecli.training.starting import start
from hecli.training.stepping import Awaits, Did, Over, step
from tests.support import KEY, KEYS, PUBLIC, no_passphrase

MODEL = {"b": np.zeros(4, np.float32), "w": np.full((3, 4), 0.5, np.float32)}
COORDINATOR = "registry"
PATIENCE = 60


class Killed(BaseException):
    """A run that ends here, as by kill -9."""


DEALT = hecli.read_public_key(KEYS / "dealt.pub")


class Scene:
    """A training in a folder, and its members.

    The key is one for trials, or `dealt`, whose five shares the first parties hold,
    or None for masks alone. `far` is the URL of the folder, where it is not here.
    """

    def __init__(self, root, parties=4, *, key=KEY, masks=None, model=MODEL, names=None, far=None, **terms):
        self.far = far
        self.root, self.key, self.initial = Path(root), key, model
        self.shared = self.root / "shared"
        self.people = self.root / "people"
        for folder in (self.root, self.shared, self.people):
            folder.mkdir(exist_ok=True)
        self.parties = names or [f"party-{at}" for at in range(1, parties + 1)]
        self.identities = {name: Identity.generate(name) for name in [*self.parties, COORDINATOR]}
        for name, identity in self.identities.items():
            hecli.write_identity(identity, self.people / f"{name}.id")
        if key == "dealt":
            for number, name in enumerate(self.parties[:5], 1):
                shutil.copy(KEYS / f"dealt-{number}.share", self.people / f"{name}.share")
        elif key is not None:
            hecli.write_private_key(key, self.root / "hecli.key")
        self.said = {name: [] for name in self.identities}
        self.targets = {name: float(at) for at, name in enumerate(self.parties, 1)}
        for name, target in self.targets.items():
            self.give(name, {each: np.full_like(value, target) for each, value in model.items()})
        self.options, self.patience = {}, PATIENCE
        self.begin(model, masks, terms)

    def begin(self, model, masks, terms):
        cards = {name: each.card for name, each in self.identities.items()}
        coordinator = cards[COORDINATOR]
        parties = [cards[name] for name in self.parties]
        holders = parties[:5] if self.key == "dealt" else [coordinator]
        aggregators = [cards[name] for name in terms.pop("aggregators", [COORDINATOR])]
        roster = Roster.of(parties, aggregators, holders, coordinator=coordinator)
        masking = None if masks is None else hecli.Masking(masks)
        public_key = DEALT if self.key == "dealt" else PUBLIC
        scheme = hecli.Masks(masking) if self.key is None else Paillier.of(public_key, masking=masking)
        public = io.BytesIO()
        hecli.write_public_key(public_key, public)
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
            self.place(),
            of_arrays(model),
            self.identities[COORDINATOR],
            scheme,
            key=None if self.key is None else public,
            **(defaults | terms),
        )
        return self.begun

    def place(self):
        """The shared folder, as members reach it: of this machine, or behind a URL."""
        return Confined(str(self.shared)) if self.far is None else Below(ANYWHERE, self.far)

    def session(self, name, **options):
        """A new run of a member, as after a start of hecli run."""
        options = self.options | options
        path = self.people / f"{name}.id"
        with path.open("rb") as stream:
            identity = read_identity(open_reader(stream), lambda: "")
        shared, own = (
            options.pop("shared", None) or self.place(),
            Own(LOCAL, own_folder(str(path))),
        )
        terms = read_terms(shared)
        join(terms, own, identity, options.pop("accept", lambda *_: True))
        again, format = options.pop("again", False), options.pop("format", "npz")
        kept = path.with_suffix(".share") if self.key == "dealt" else self.root / "hecli.key"
        opens = kept.exists() and (self.key == "dealt" or name == COORDINATOR)
        secrets = Secrets(
            key=self.key if opens and self.key != "dealt" else None,
            share=hecli.read_share(kept, no_passphrase) if opens and self.key == "dealt" else None,
            opened=remember(str(kept), "opened") if opens else None,
            masked=remember(str(path), "masked", again=again),
            sent=remember(str(path), "sent", again=again),
            was_sent=lambda model: was_used(str(path), "sent", model),
            account=spending(LOCAL, f"{path}.spent", identity, str(path)),
            answered=remember(str(path), "answered"),
        )
        settings = Settings(
            train=options.pop("train", self.copying(name) if name in self.parties else None),
            limit=options.pop("limit", None),
            check=options.pop("check", None),
            max_step=options.pop("max_step", None),
            format=format,
            again=again,
            work=cores(1),
        )
        assert not options
        ledger = open_ledger(shared, terms, own)
        take_model(shared, terms, own, format)
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

    def give(self, name, arrays, *, round="every", weight=1, metrics=None):
        """Fix what a party's training comes to, in one round or in every other."""
        folder = self.root / "given" / name
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{round}.npz", **arrays)
        (folder / f"{round}.weight").write_text(str(weight))
        (folder / f"{round}.json").write_text(json.dumps(metrics or {}))

    def given(self, name, number):
        """What a party's training comes to in a round: values, weight and metrics."""
        folder = self.root / "given" / name
        which = number if (folder / f"{number}.npz").exists() else "every"
        with np.load(folder / f"{which}.npz") as file:
            arrays = dict(file)
        metrics = json.loads((folder / f"{which}.json").read_text())
        return arrays, int((folder / f"{which}.weight").read_text()), metrics

    def copying(self, name):
        """A quick command that gives what was fixed."""
        folder = shlex.quote(str(self.root / "given" / name))
        lines = (
            f"cd {folder}",
            'which=every; [ -e "$HECLI_ROUND.npz" ] && which=$HECLI_ROUND',
            'cp $which.npz "$HECLI_UPDATE"',
            'cp $which.weight "$HECLI_WEIGHT"; cp $which.json "$HECLI_METRICS"',
        )
        return ["sh", "-c", "; ".join(lines)]

    def averaged(self, number, before, *, rule="add", lr=1.0, parties=None):
        """What plain federated averaging makes of a model in a round (McMahan et al. 2017, algorithm 1)."""
        found = [self.given(name, number)[:2] for name in parties or self.parties]
        total = sum(weight for _, weight in found)
        after = {}
        for each, old in before.items():
            mean = sum(weight * arrays[each].astype(np.float64) for arrays, weight in found) / total
            after[each] = {
                "add": old + lr * (mean - old),
                "replace": mean,
                "sgd": old - lr * mean,
            }[rule]
        return after

    def run(self, sessions, until=None, step=step):
        """Let members take steps in turns, until all wait for somebody else, are done, or `until` says so."""
        ended = {}
        deadline = time.monotonic() + self.patience
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

    def enroll(self):
        """All enroll in the round that is planned, if it has masks, and the coordinator says who did."""
        if self.begun.plan.masking is None:
            return

        def said(scene):
            links = scene.session(COORDINATOR).ledger.links
            return sum(link.entry.event == "enrolled" for link in links)

        before = said(self)
        self.run(self.all(), until=lambda scene: said(scene) > before)

    def all(self, **options):
        return [self.session(name, **options) for name in [COORDINATOR, *self.parties]]

    def model(self, name, which="last"):
        which = which if isinstance(which, str) else f"{which:04}"
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


class Fate:
    """Ends a run at the count-th time that it touches a file, before it does; counts what there was."""

    def __init__(self, monkeypatch, count=0):
        self.seen, self.count, self.monkeypatch = 0, count, monkeypatch

    @contextmanager
    def __call__(self):
        """While this lasts, operations count."""
        with self.monkeypatch.context() as patch:
            for owner, names in _OPERATIONS:
                for name in names:
                    patch.setattr(owner, name, self._counted(getattr(owner, name)))
            yield

    def _counted(self, original):
        def counted(*args, **kwargs):
            self.seen += 1
            if self.seen == self.count:
                raise Killed
            return original(*args, **kwargs)

        return counted


_OPERATIONS = (
    (local.LocalStore, ("open", "create", "claim")),
    (Confined, ("open", "list", "remove")),
    (local, ("_publish", "_sync_folder")),
)


def stepped(session, fate):
    """A step of a member whom this fate awaits."""
    with fate():
        return step(session)


__all__ = ["COORDINATOR", "MODEL", "Awaits", "Did", "Fate", "Killed", "Over", "Scene", "stepped"]
