"""What a member's run knows: who it is, the terms, the folder, and what the ledger has said so far."""

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hecli.errors import FormatError, HecliError, UnreachableError
from hecli.executors.interface import Executor
from hecli.formats.reader import open_reader
from hecli.formats.tensors.files import FORMATS
from hecli.formats.text import is_printable
from hecli.identity.signatures import Identity
from hecli.ledger.chain import Ledger, append, entry_name, follow
from hecli.plan.data import Plan
from hecli.rounds.spending import Account
from hecli.schemes.interface import KEY, SHARES
from hecli.schemes.round import PrivateKey, PublicKey, Share
from hecli.storage.store import Record, Store
from hecli.training.files import same
from hecli.training.history import History, Round, read_history
from hecli.training.own import Own
from hecli.training.terms import Training

LEDGER = "ledger"
TERMS_FILE = "training.hecli"
MODEL_FILE = "model.tensors"
KEY_FILE = "key.pub"
PLAN_FILE, AGGREGATE_FILE, SUM_FILE = "round.plan", "round.agg", "round.sum"

KEPT_DIGITS = 16
"""Of a plan's digest, in the names of one's own files about it."""

Glimpse = tuple[bool, frozenset[str]]
"""Whether there is another entry, and the files of a round."""


@dataclass(frozen=True)
class Settings:
    """What a member asks of its own run.

    Args:
        train: The words of the command that trains, for parties.
        limit: The seconds it may take.
        check: The words of the command that checks a new model.
        max_step: How far a value of the model may move in a round.
        format: The format of its models, a key of FORMATS.
        again: Whether it may send a second update about a model.
        work: Who works.
    """

    train: Sequence[str] | None
    limit: float | None
    check: Sequence[str] | None
    max_step: float | None
    format: str
    again: bool
    work: Executor


@dataclass(frozen=True)
class Secrets:
    """What a member opens with, and the records of its use.

    Args:
        key: The private key, where it holds one.
        share: Its share, where the key is in shares.
        opened: Told of what is opened with either.
        masked: Told of updates that are masked.
        sent: Told of updates that are made.
        was_sent: Tells whether an update about a model was made before.
        answered: Told of what is answered about.
        account: Counts updates with noise, before they are made; None for those who make none.
    """

    key: PrivateKey | None
    share: Share | None
    opened: Record | None
    masked: Record
    sent: Record
    was_sent: Callable[[bytes], bool]
    answered: Record
    account: Account | None


@dataclass
class Session:
    """A member's run.

    Args:
        identity: Who it is.
        training: The terms, which it has accepted.
        terms: The digest of their file.
        shared: The folder that all members share.
        own: Its own folder.
        settings: What it asks of the run.
        secrets: What it opens with.
        say: Shows a line.
        ledger: The ledger, as far as it was read.
        unsound: Updates that were found unsound, by the digests of plan and file.
        checked: Updates that were found sound, likewise, and aggregates that were made again.
        noted: What was said once, and is not said again.
        plans: Plans that were checked, by digest.
        watched: The folder of the round whose files this member waits for, if any.
        skipped: Rounds that the member's own training failed in, with what went wrong.
        passed: The digests of those rounds' plans: another attempt is tried again.
        refuted: Whose answers and partials were too few that hold to open a round, by its plan's digest.
        compared: Files of its own in the folder that were compared to the last byte, by path.
        tidied: The folders of rounds whose large files were removed.
        history: The rounds, and the head of the ledger as it was when they were found in it.
    """

    identity: Identity
    training: Training
    terms: bytes
    shared: Store
    own: Own
    settings: Settings
    secrets: Secrets
    say: Callable[[str], None]
    ledger: Ledger
    unsound: set[tuple[bytes, bytes]] = field(default_factory=set)
    checked: set[tuple[bytes, bytes]] = field(default_factory=set)
    noted: set[str] = field(default_factory=set)
    plans: dict[bytes, Plan] = field(default_factory=dict)
    watched: str = ""
    skipped: dict[int, str] = field(default_factory=dict)
    passed: set[bytes] = field(default_factory=set)
    refuted: dict[bytes, tuple[list[str], list[str]]] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)
    tidied: set[str] = field(default_factory=set)
    history: tuple[str, History] | None = None

    @property
    def name(self) -> str:
        """The member's name."""
        return self.identity.card.name

    def may(self, kind: str) -> bool:
        """Tell whether the member makes files of a kind.

        Args:
            kind: A key of KINDS.

        Returns:
            Whether it does.
        """
        return self.name in self.training.roster.makers(kind)

    @property
    def coordinates(self) -> bool:
        """Whether the member is the coordinator."""
        return self.name == self.training.roster.coordinator

    @property
    def suffix(self) -> str:
        """The suffix of the member's models."""
        return FORMATS[self.settings.format].suffix

    def look(self) -> History:
        """Read what others have added to the ledger, and keep how far it goes.

        Returns:
            The rounds.

        Raises:
            FormatError: The ledger is broken.
        """
        self.ledger = follow(self.shared, LEDGER, self.ledger)
        self.own.keep_head(self.ledger.last.head)
        if self.history is None or self.history[0] != self.ledger.last.head:
            self.history = self.ledger.last.head, read_history(self.ledger, self.training)
        return self.history[1]

    def glance(self) -> Glimpse:
        """See, without reading anything, what there is of what this member waits for.

        Returns:
            What is other than before when somebody has added something.
        """
        following = entry_name(self.ledger.last.entry.number + 1)
        names = self.shared.list(self.watched) if self.watched else ()
        return self.shared.exists(posixpath.join(LEDGER, following)), frozenset(names)

    def record(
        self,
        event: str,
        *,
        plan: bytes = b"",
        files: Sequence[tuple[str, bytes]] = (),
        text: str = "",
        stale: Callable[[History], bool] | None = None,
        **said: Any,
    ) -> None:
        """Add an entry to the ledger.

        Args:
            event: What happened.
            plan: The digest of the plan concerned.
            files: Names and digests of files.
            text: What else there is to say, for people, or
            said: for programs, such as seconds.
            stale: Of a decision, asked whether others have made one meanwhile,
                with which this one counts for nothing.
        """

        def overtaken(ledger: Ledger) -> bool:
            return stale is not None and stale(read_history(ledger, self.training))

        # Without escapes, so that the longest metrics fit.
        text = json.dumps(said, ensure_ascii=False) if said else plain(text)
        self.ledger = append(
            self.shared,
            LEDGER,
            self.ledger,
            self.identity,
            event,
            plan=plan,
            files=files,
            text=text,
            stale=overtaken,
        )
        self.own.keep_head(self.ledger.last.head)

    def note(self, text: str) -> None:
        """Say something once.

        Args:
            text: What.
        """
        if text not in self.noted:
            self.noted.add(text)
            self.say(text)

    def file(self, name: str, suffix: str) -> str:
        """Name a member's file in a round's folder: by the card, for no name becomes a path.

        Args:
            name: The member's name.
            suffix: The file's suffix.

        Returns:
            The file's name.
        """
        return self.training.fingerprints[name] + suffix

    def kept(self, round_: Round, suffix: str) -> Path:
        """Say where a file of one's own about a round is: by its plan, for all attempts have one folder.

        Args:
            round_: The round.
            suffix: The file's suffix.

        Returns:
            Its path; the file may not be there yet.
        """
        return self.own.path(round_.number, f"{round_.digest.hex()[:KEPT_DIGITS]}{suffix}")

    def open_round(self, stack: ExitStack, round_: Round, names: Sequence[str]) -> list[BinaryIO]:
        """Open files of a round.

        Args:
            stack: For as long as it lasts.
            round_: The round.
            names: The files.

        Returns:
            Their streams.
        """
        paths = [posixpath.join(round_.folder, each) for each in names]
        return [stack.enter_context(self.shared.open(path, many=True)) for path in paths]

    @contextmanager
    def opened(self, round_: Round, name: str) -> Iterator[BinaryIO]:
        """Open a file of a round.

        Args:
            round_: The round.
            name: The file.

        Yields:
            Its stream.
        """
        with self.shared.open(posixpath.join(round_.folder, name)) as stream:
            yield stream

    def digest_of(self, round_: Round, name: str) -> bytes | None:
        """Give the digest that a file of a round says it has.

        Args:
            round_: The round.
            name: The file.

        Returns:
            The digest; None where there is no such file, or none that can be read yet.
        """
        try:
            with self.opened(round_, name) as stream:
                return open_reader(stream).digest
        except UnreachableError:
            raise
        except HecliError:
            return None

    def in_place(self, round_: Round, name: str, kept: Path) -> bool:
        """Tell whether a file of one's own is in a round's folder as it was made.

        Its digest and signature are compared each time; all of it once in a run,
        for folders can be far away.

        Args:
            round_: The round.
            name: The file's name there.
            kept: The file; it may not be made yet.

        Returns:
            Whether it is.
        """
        path = posixpath.join(round_.folder, name)
        if not kept.exists():
            return False
        with kept.open("rb") as mine:
            made = open_reader(mine)
            try:
                with self.shared.open(path) as there:
                    found = open_reader(there)
                    if (made.digest, made.signature) != (found.digest, found.signature):
                        return False
                    mine.seek(0)
                    there.seek(0)
                    if path not in self.compared and not same(mine, there):
                        return False
            except UnreachableError:
                raise
            except HecliError:
                return False
        self.compared.add(path)
        return True

    def publish(self, round_: Round, name: str, source: Path) -> None:
        """Put a file of one's own into a round's folder, also where something else has its name.

        Args:
            round_: The round.
            name: The file's name there.
            source: The file.
        """
        path = posixpath.join(round_.folder, name)
        with source.open("rb") as stream, self.shared.create(path, replace=True) as out:
            while piece := stream.read(1 << 20):
                out.write(piece)

    def public_key(self) -> PublicKey | None:
        """Read the key of the training from the folder; it is the one that was accepted, or refused.

        Returns:
            The key; None where there is none.

        Raises:
            MismatchError: It is another.
        """
        scheme = self.training.scheme
        if not {KEY, SHARES} & (scheme.to_encrypt | scheme.to_open):
            return None
        with self.shared.open(KEY_FILE) as stream:
            key = scheme.read_public_key(open_reader(stream))
        scheme.check_key(key, TERMS_FILE)
        return key


def open_listed(
    session: Session, stack: ExitStack, round_: Round, files: Sequence[tuple[str, bytes]]
) -> list[BinaryIO]:
    """Open files of a round that an entry lists.

    Args:
        session: The run.
        stack: For as long as it lasts.
        round_: The round.
        files: Their names and digests.

    Returns:
        Their streams.

    Raises:
        FormatError: One is another file than the one listed.
    """
    found = []
    for name, digest in files:
        (stream,) = session.open_round(stack, round_, [name])
        if open_reader(stream).digest != digest:
            raise FormatError(f"{name}: is not the file that the ledger lists", "its maker puts it back")
        found.append(stream)
    return found


def plain(text: str) -> str:
    """Make a text fit for an entry.

    Args:
        text: The text.

    Returns:
        Its first characters, without what cannot be printed.
    """
    return "".join(each if is_printable(each) else " " for each in text)[:400]


def placeless(session: Session, round_: Round, text: str) -> str:
    """Take out of a text where files lie on this machine, which is for nobody else to know.

    Args:
        session: The run.
        round_: The round whose files it names.
        text: The text.

    Returns:
        It, with paths that begin in the folders.
    """
    text = text.replace(f"{session.own.root}/", "")
    # A whole path may have spaces in it.
    return re.sub(rf"((?<!\S)/.*?/|\S*/)(?={re.escape(round_.folder)}/)", "", text)
