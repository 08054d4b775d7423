"""What was measured, kept piece by piece, so that a comparison goes on where it was interrupted."""

import json
import math
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from hecli.errors import HecliError
from hecli.formats.canonical import digest_of
from hecli.storage.store import Store

NAMED_BY = 16
"""Digits of the digest of all that was asked for, in the names of files: what differs in it is kept apart."""


class Kept:
    """A folder of pieces.

    Args:
        store: Where it is.
        folder: Its path.
        asked: All that pieces follow from.

    Attributes:
        found: How many pieces were there.
    """

    found = 0

    def __init__(self, store: Store, folder: str, asked: dict[str, Any]) -> None:
        self._store, self._folder = store, folder
        self._asked = digest_of("comparison", json.dumps(asked, sort_keys=True).encode()).hex()[:NAMED_BY]

    def get(self, name: str, kind: type[NamedTuple], rounds: int) -> Any:
        """Look for a piece.

        Args:
            name: Its name.
            kind: What it is.
            rounds: How many figures there are where there is one for each round.

        Returns:
            It, as JSON has it; None where it is not there, or not sound.
        """
        path = self._path(name)
        if not self._store.exists(path):
            return None
        try:
            with self._store.open(path) as stream:
                found = json.loads(stream.read())
        except (HecliError, ValueError, RecursionError):
            return None
        if not _sound(found, kind, rounds):
            return None
        self.found += 1
        return found

    def put(self, name: str, piece: Any) -> None:
        """Keep a piece.

        Args:
            name: Its name.
            piece: What JSON can hold.

        Raises:
            HecliError: It cannot be written.
        """
        # How well models do tells of the data.
        with self._store.create(self._path(name), replace=True, secret=True) as out:
            out.write(json.dumps(piece).encode())

    def _path(self, name: str) -> str:
        return f"{self._folder}/{self._asked}-{name}.json"


def _sound(piece: Any, kind: type[NamedTuple], rounds: int) -> bool:
    """Whether a piece has all fields of its kind, and in each what belongs there."""
    hints = get_type_hints(kind)
    return (
        isinstance(piece, dict)
        and piece.keys() == hints.keys()
        and all(_fits(value, hints[name], rounds) for name, value in piece.items())
    )


def _fits(value: Any, hint: Any, rounds: int) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, list) and len(value) == rounds and all(_is_number(each) for each in value)
    if hint is bool:
        return isinstance(value, bool)
    return _is_number(value) or (value is None and NoneType in get_args(hint))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
