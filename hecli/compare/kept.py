"""What was measured, kept piece by piece, so that a comparison goes on where it was interrupted."""

import json
from typing import Any

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
    """

    def __init__(self, store: Store, folder: str, asked: dict[str, Any]) -> None:
        self._store, self._folder = store, folder
        self._asked = digest_of("comparison", json.dumps(asked, sort_keys=True).encode()).hex()[:NAMED_BY]

    def get(self, name: str) -> Any:
        """Look for a piece.

        Args:
            name: Its name.

        Returns:
            It; None where it is not there, or not whole.
        """
        path = self._path(name)
        if not self._store.exists(path):
            return None
        try:
            with self._store.open(path) as stream:
                return json.loads(stream.read())
        except (HecliError, ValueError):
            return None

    def put(self, name: str, piece: Any) -> None:
        """Keep a piece.

        Args:
            name: Its name.
            piece: What JSON can hold.

        Raises:
            HecliError: It cannot be written.
        """
        path = self._path(name)
        # How well models do tells of the data.
        with self._store.create(path, replace=self._store.exists(path), secret=True) as out:
            out.write(json.dumps(piece).encode())

    def _path(self, name: str) -> str:
        return f"{self._folder}/{self._asked}-{name}.json"
