"""A folder behind a URL that others write to, with paths relative to it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import BinaryIO

from hecli.errors import FormatError
from hecli.storage.paths import joined
from hecli.storage.store import Store


class Below:
    """The Store of one folder of another one; nothing outside it is reached.

    Args:
        store: The other Store.
        root: The URL of the folder.
        check: Refuses paths in it that would lead out of it.
    """

    def __init__(self, store: Store, root: str, check: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._root = root
        self._check = check

    def open(self, path: str, *, many: bool = False) -> AbstractContextManager[BinaryIO]:
        """Open a file to be read."""
        return self._store.open(self._at(path), many=many)

    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> AbstractContextManager[BinaryIO]:
        """Open a new file to be written."""
        return self._store.create(self._at(path), replace=replace, secret=secret, lasting=lasting)

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make."""
        return self._store.claim(self._at(path), data)

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder."""
        return self._store.list(self._at(folder) if folder else self._root)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        return self._store.exists(self._at(path))

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._store.remove(self._at(path))

    def _at(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or any(part in {"/", "..", "."} for part in parts):
            raise FormatError(f"{path!r} is no path inside the folder")
        if self._check is not None:
            self._check(path)
        return joined(self._root, path)
