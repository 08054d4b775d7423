"""One round by each technique: whole commands, as its people would run them, on the tensors at hand."""

import glob
import io
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from hecli.compare.pieces import Piece
from hecli.compare.techniques import SHARES, WHOLE, Technique, shares, threshold
from hecli.compare.tensors import Tensors, clear, npz_of, part_of
from hecli.formats.tensors.arrays import of_arrays
from hecli.identity.files import write_card, write_identity
from hecli.identity.signatures import Identity
from hecli.measuring.folder import Folder, Run
from hecli.schemes.paillier.keys import DEFAULT_BITS

SMALLER = 0.25
"""Then as large a part of that is measured too, for what does not grow with the values."""

COSTS = {None: 4, WHOLE: 4, SHARES: 12}
"""About how many seconds a round takes of few values, by who has the key."""

COORDINATOR = "coordinator"


class Noise(NamedTuple):
    """The noise of techniques that have some.

    Args:
        unit: Whose data is protected.
        clip: The clip norm.
        epsilon: What all rounds together promise.
        delta: The delta of it.
        rounds: How many rounds there are.
    """

    unit: str
    clip: float
    epsilon: float
    delta: float
    rounds: int


class Sent(NamedTuple):
    """What parties would send.

    Args:
        updates: The tensors of each, or as large a part of them as is worked on.
        noise: What noise there is, where there is some.
        share: How large a part that is.
    """

    updates: Sequence[Tensors]
    noise: Noise
    share: float = 1.0


class Figures(NamedTuple):
    """What a round takes.

    Args:
        bytes: What a party sends.
        besides: What of that is not its update: what it enrolls, answers and opens with.
        party: Seconds of one party's commands.
        aggregator: Seconds of whoever aggregates.
        opening: Seconds of opening, which verifies all updates; of holders of shares, who work at the same
            time, the slowest counts.
        memory: The most bytes that one command's processes held together, where the system tells.
        error: The norm of what the mean is off by, of that of the mean.
        largest: The most that a value of it is off by.
        extrapolated: Whether bytes and seconds are extrapolated from a part of the values.
    """

    bytes: float
    besides: float
    party: float
    aggregator: float
    opening: float
    memory: int | None
    error: float
    largest: float
    extrapolated: bool = False


class Scene:
    """A folder with parties, keys and the tensors that they would send.

    Args:
        path: An empty folder.
        parties: How many parties there are.
    """

    def __init__(self, path: Path, parties: int) -> None:
        self._path = path
        self._folder = Folder(path)
        self._names = [f"party-{at}" for at in range(1, parties + 1)]
        for name in (*self._names, COORDINATOR):
            identity = Identity.generate(name)
            with (path / f"{name}.card").open("wb") as out:
                write_card(identity, out)
            with (path / f"{name}.id").open("wb") as out:
                write_identity(identity, out)

    def piece(self, name: str, technique: Technique, sent: Callable[[], Sent]) -> Piece:
        """Give a technique's round as a piece of a comparison.

        Args:
            name: The technique's name.
            technique: It.
            sent: Gives what parties would send.

        Returns:
            The piece.
        """
        cost = COSTS[technique.key] if technique.hides else 0
        return Piece(
            f"round-{name}",
            f"a round, {technique.title}",
            cost,
            Figures,
            lambda _: self.measure(technique, sent()),
        )

    def measure(self, technique: Technique, sent: Sent) -> Figures:
        """Run a round.

        Args:
            technique: How.
            sent: What parties would send.

        Returns:
            What it takes; of a part, what the whole would take.

        Raises:
            HecliError: It cannot be done so; it says why.
        """
        updates, noise, share = sent
        done = self._round(technique, updates, noise)
        if share == 1:
            return done
        less = self._round(technique, [part_of(each, SMALLER) for each in updates], noise)

        def whole(large: float, small: float) -> float:
            return large + max(0.0, large - small) / (share - share * SMALLER) * (1 - share)

        return done._replace(
            bytes=whole(done.bytes, less.bytes),
            party=whole(done.party, less.party),
            aggregator=whole(done.aggregator, less.aggregator),
            opening=whole(done.opening, less.opening),
            extrapolated=True,
        )

    def _round(self, technique: Technique, updates: Sequence[Tensors], noise: Noise) -> Figures:
        for name, each in zip(self._names, updates, strict=True):
            (self._path / f"{name}.npz").write_bytes(npz_of(each))
        exact = {
            name: np.mean([each[name] for each in updates], axis=0, dtype=np.float64) for name in updates[0]
        }
        if not technique.hides:
            return self._plain(updates)
        options = self._options(technique, updates[0], noise)
        taken = self._commands(technique, options)
        with np.load(self._path / "mean.npz") as file:
            off = np.concatenate([(file[name] - exact[name]).reshape(-1) for name in exact])
        norm = float(np.linalg.norm(np.concatenate([each.reshape(-1) for each in exact.values()])))
        error = float(np.linalg.norm(off)) / norm if norm else 0.0
        return taken._replace(error=error, largest=float(np.abs(off).max()))

    def _plain(self, updates: Sequence[Tensors]) -> Figures:
        """Average arrays as they are: there is no command for it."""
        files, wrote = [], []
        for update in updates:
            start = time.perf_counter()
            files.append(npz_of(update))
            wrote.append(time.perf_counter() - start)
        start = time.perf_counter()
        total: dict[str, Any] = {}
        for content in files:
            with np.load(io.BytesIO(content)) as file:
                total = {name: total.get(name, 0) + file[name].astype(np.float64) for name in file.files}
        added = time.perf_counter() - start
        return Figures(len(files[0]), 0, median(wrote), added, 0.0, None, 0.0, 0.0)

    def _options(self, technique: Technique, update: Tensors, noise: Noise) -> tuple[str, ...]:
        """What `hecli plan` takes for a technique."""
        like = f"{self._names[0]}.npz"
        options: list[str] = []
        if technique.signed:
            cards = [f"{name}.card" for name in self._names]
            options += ["--party", *cards, "--aggregator", f"{COORDINATOR}.card"]
            options += ["--keyholder", *([f"{COORDINATOR}.card"] if technique.key != SHARES else cards)]
            options += ["--identity", f"{COORDINATOR}.id"]
        else:
            options += ["--parties", str(len(self._names))]
        if technique.key is None:
            options += ["--scheme", "masks"]
        else:
            options += ["--key", self._key(technique)]
            options += ["--masks"] if technique.masks else []
        if technique.masks:
            options += ["--dropouts", str(technique.dropouts(len(self._names)))]
        if technique.clear:
            for name in clear(update):
                # A name is no pattern.
                options += ["--plain", glob.escape(name)]
        setting = technique.setting_for(of_arrays(update).specs)
        if technique.noise:
            options += ["--clip", repr(noise.clip), "--epsilon", repr(noise.epsilon), "--unit", noise.unit]
            options += ["--delta", repr(noise.delta), "--rounds", str(noise.rounds)]
        else:
            options += ["--bits", str(setting.bits)]
        options += ["--rotate"] if setting.rotate else []
        options += ["--sample", repr(setting.sample)] if setting.sample is not None else []
        if setting.rank is not None:
            options += ["--rank", str(setting.rank), "--basis-from", self._first_sum]
        return ("--like", like, *options)

    def _commands(self, technique: Technique, options: Sequence[str]) -> Figures:
        """All commands of a round; the error is for whoever knows the exact mean."""
        place = self._folder
        for each in self._path.glob("round*"):
            each.unlink()
        place.run("plan", *options, "-o", "round.plan")
        runs: dict[str, list[Run]] = {"party": [], "aggregator": [], "opening": []}
        agreed = ("--plan", "round.plan")
        signed = self._ledger() if technique.signed else ()
        key = ("--key", self._key(technique)) if technique.key is not None else ()
        enrolled = [f"round-{name}.enroll" for name in self._names] if technique.masks else []
        for name, file in zip(self._names, enrolled, strict=bool(enrolled)):
            runs["party"].append(place.run("enroll", *agreed, "--identity", f"{name}.id", "-o", file))
        enrollments = ("--enroll", *enrolled) if enrolled else ()
        files = [f"round-{name}.enc" for name in self._names]
        for name, file in zip(self._names, files, strict=True):
            own = ("--identity", f"{name}.id", *signed) if technique.signed else ("--party", name)
            given = (*agreed, *own, *key, *enrollments, "-o", file)
            runs["party"].append(place.run("encrypt", f"{name}.npz", *given))
        by = ("--identity", f"{COORDINATOR}.id", *signed) if technique.signed else ()
        runs["aggregator"].append(place.run("aggregate", *files, *agreed, *by, "-o", "round.agg"))
        answers = []
        if technique.masks and technique.survives:
            for name in self._names:
                answers.append(f"round-{name}.ans")
                given = (*agreed, "--identity", f"{name}.id", *enrollments, "--from", *files)
                runs["party"].append(place.run("answer", "round.agg", *given, "-o", answers[-1]))
        took_off = (*enrollments, "--answers", *answers) if answers else ()
        if technique.key == SHARES:
            runs["opening"] += self._open_with_shares(agreed, files, signed, took_off)
        else:
            opens = ("--key", "hecli.key") if technique.key == WHOLE else ()
            given = (*agreed, *opens, *by, *took_off, "--from", *files)
            runs["opening"].append(place.run("decrypt", "round.agg", *given, "-o", "round.sum"))
        basis = ("--basis", "round.basis") if (self._path / "round.basis").exists() else ()
        place.run("apply", "round.sum", *agreed, *basis, "-o", "mean.npz", "--force")
        parties = len(self._names)
        sizes = [
            sum(place.size(file) for file in own)
            for own in zip(*([each for each in (enrolled, files, answers) if each]), strict=True)
        ]
        # Parties hold the shares, and those who open send a partial too.
        partials = max((each.stat().st_size for each in self._path.glob("round-*.part")), default=0)
        # Each party ran each of its commands once, one party after the other.
        mine = [[run.seconds for run in runs["party"][at::parties]] for at in range(parties)]
        opening = runs["opening"]
        at_once = max((run.seconds for run in opening[:-1]), default=0.0)
        peaks = [run.peak_bytes for some in runs.values() for run in some if run.peak_bytes is not None]
        return Figures(
            bytes=max(sizes) + partials,
            besides=max(sizes) + partials - max(place.size(file) for file in files),
            party=median(sum(each) for each in mine),
            aggregator=runs["aggregator"][0].seconds,
            opening=at_once + opening[-1].seconds,
            memory=max(peaks, default=None),
            error=0.0,
            largest=0.0,
        )

    def _open_with_shares(
        self, agreed: Sequence[str], files: Sequence[str], signed: Sequence[str], took_off: Sequence[str]
    ) -> list[Run]:
        """As many holders as it takes make partials, and one of them puts them together."""
        place, runs, parts = self._folder, [], []
        for at in range(threshold(len(self._names))):
            parts.append(f"round-{at + 1}.part")
            by = ("--identity", f"{self._names[at]}.id", *signed)
            given = (*agreed, "--share", f"dealt-{at + 1}.share", *by, "--from", *files, "-o", parts[-1])
            runs.append(place.run("partial", "round.agg", *given))
        by = ("--identity", f"{self._names[0]}.id", *signed, "--key", "dealt.pub")
        given = (*agreed, *by, *took_off, "-o", "round.sum")
        runs.append(place.run("combine", "round.agg", *parts, *given))
        return runs

    def _key(self, technique: Technique) -> str:
        return self._whole_key if technique.key == WHOLE else self._dealt_key

    @cached_property
    def _whole_key(self) -> str:
        self._folder.run("keygen", "--bits", str(DEFAULT_BITS))
        return "hecli.pub"

    @cached_property
    def _dealt_key(self) -> str:
        parties = len(self._names)
        dealt = ("--threshold", str(threshold(parties)), "--shares", str(shares(parties)))
        self._folder.run("keygen", *dealt, "--bits", str(DEFAULT_BITS), "-o", "dealt")
        return "dealt.pub"

    @property
    def _first_sum(self) -> str:
        """The sum of a round of these tensors as they are, which matrices are projected by."""
        plain = Technique("", key=None, masks=True)
        with np.load(self._path / f"{self._names[0]}.npz") as file:
            like = self._options(plain, dict(file), Noise("", 0, 0, 0, 0))
        self._commands(plain, like)
        (self._path / "round.sum").replace(self._path / "first.sum")
        return "first.sum"

    def _ledger(self) -> tuple[str, ...]:
        """A ledger of its own for each round: what it costs does not grow from technique to technique."""
        number = len([*self._path.glob("ledger-*")])
        folder = f"ledger-{number}"
        cards = [word for name in self._names for word in ("--party", f"{name}.card")]
        self._folder.run("ledger", "init", folder, *cards, "--identity", f"{COORDINATOR}.id")
        return ("--ledger", folder)
