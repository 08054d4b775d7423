"""What a member keeps for itself: models, the update it made, and how far it is.

It stands in a folder beside the identity that nobody else may read. Every
file appears whole or not at all, so that a run can be killed anywhere and go
on; what says that a step is done is written last.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hecli.errors import HecliError, RefusedError
from hecli.storage.locks import locked
from hecli.storage.store import Store
from hecli.training.history import round_folder

TERMS = "training.hecli"
APPLIED, FIXED, UPDATE, SUM = "applied.json", "update.json", "update.tensors", "round.sum"
BASIS, RESIDUAL = "next.basis", "residual"


class Own:
    """A member's own folder.

    Args:
        store: What writes files.
        root: The folder.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.root = root
        self._applied: list[dict[str, Any]] = []

    def prepare(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            OSError: It cannot be made.
        """
        self.root.mkdir(mode=0o700, exist_ok=True)
        for name in ("state", "log"):
            (self.root / name).mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs of the same member waiting while this one takes a step."""
        lock = self.root / "lock"
        lock.touch(0o600)
        with locked(str(lock)):
            yield

    def path(self, number: int, name: str) -> Path:
        """Say where a file about a round is.

        Args:
            number: The number of the round.
            name: The file's.

        Returns:
            Its path, in a folder that is there.
        """
        folder = self.root / round_folder(number, 1)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name

    def model(self, which: int | str, suffix: str) -> Path:
        """Say where a model is.

        Args:
            which: The number of rounds it has been through, or `last` or `best`.
            suffix: That of its format.

        Returns:
            Its path.
        """
        return self.root / f"model-{which if isinstance(which, str) else f'{which:04}'}{suffix}"

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read a small file of one's own.

        Args:
            path: Its path.

        Returns:
            What it says; None where it is not there.

        Raises:
            HecliError: It is not what hecli wrote.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError, OSError) as error:
            raise HecliError(
                f"cannot read {path}", "restore it, or move it away to do the step again"
            ) from error
        if not isinstance(found, dict):
            raise HecliError(f"{path} is not what hecli wrote", "restore it, or move it away")
        return found

    def write(self, path: Path, value: dict[str, Any]) -> None:
        """Write a small file of one's own, in the place of an earlier one.

        Args:
            path: Its path.
            value: What it says.
        """
        with self.store.create(str(path), replace=True, secret=True) as out:
            out.write(json.dumps(value).encode())

    def copy(self, source: Path, target: Path, *, lasting: bool = True) -> None:
        """Copy a file, in the place of an earlier one.

        Args:
            source: The file.
            target: Its other path.
            lasting: Whether the copy has to outlast a power cut.
        """
        with (
            source.open("rb") as stream,
            self.store.create(str(target), replace=True, secret=True, lasting=lasting) as out,
        ):
            shutil.copyfileobj(stream, out, 1 << 20)

    def applied(self) -> list[dict[str, Any]]:
        """Read what came of each round whose sum was applied.

        Returns:
            What was written of them, from the first on.
        """
        # What was written is not changed any more.
        found = self._applied
        while (each := self.read(self.root / round_folder(len(found) + 1, 1) / APPLIED)) is not None:
            found.append(each)
        return list(found)

    def accept(self, terms: bytes) -> None:
        """Keep the terms that were accepted.

        Args:
            terms: The training file.
        """
        with self.store.create(str(self.root / TERMS), secret=True) as out:
            out.write(terms)

    def check_terms(self, terms: bytes) -> bool:
        """Tell whether these terms were accepted.

        Args:
            terms: The training file.

        Returns:
            Whether they were; False where none were yet.

        Raises:
            RefusedError: Others were.
        """
        kept = self.root / TERMS
        if not kept.exists():
            return False
        if kept.read_bytes() != terms:
            raise RefusedError(
                f"{self.root} belongs to another training than this folder's",
                "move it away to begin another one; the records beside the identity stay",
            )
        return True

    @property
    def head(self) -> str | None:
        """The last head of the ledger that was seen, or after a power cut an earlier one, or none."""
        try:
            return (self.root / "head").read_text("utf-8") or None
        except FileNotFoundError:
            return None

    def keep_head(self, head: str) -> None:
        """Keep the last head of the ledger.

        Args:
            head: The head.
        """
        if head != self.head:
            # Not lasting: it changes with every entry, and an earlier one is as true.
            with self.store.create(str(self.root / "head"), replace=True, secret=True, lasting=False) as out:
                out.write(head.encode())

    def tidy(self, before: int, suffix: str) -> None:
        """Remove what is large of old rounds.

        Args:
            before: The first round whose files stay.
            suffix: That of models.
        """
        for number in range(before - 1, 0, -1):
            folder = self.root / round_folder(number, 1)
            old = [each for each in folder.glob("*") if each.name not in (APPLIED, FIXED)]
            model = self.model(number - 1, suffix)
            if not old and not model.exists():
                break
            for each in (*old, model):
                with contextlib.suppress(OSError):
                    os.unlink(each)
