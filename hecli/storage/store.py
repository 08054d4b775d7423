"""What a place for files can do, wherever it is."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol

Record = Callable[[bytes, bytes], None]
"""Told of a use of a secret before anything is written: digests of plan and file; raises to forbid it."""


class Store(Protocol):
    """A place for files, found by path; every failure is a HecliError that names the path."""

    def open(self, path: str, *, many: bool = False) -> AbstractContextManager[BinaryIO]:
        """Open a file to be read.

        Args:
            path: Where it is.
            many: Whether it is one of many, so that nothing is kept open of it
                and nothing is read ahead.

        Returns:
            A seekable stream, for as long as the block lasts. A read gives all
            that is asked for, but at the end of the file.

        Raises:
            HecliError: It cannot be read.
        """
        ...

    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> AbstractContextManager[BinaryIO]:
        """Open a new file to be written, which appears whole when the block ends well.

        Until then nothing is at `path`, and after a failure nothing is left.
        Once it is there it outlasts a power cut, unless it need not be lasting:
        then that may leave an earlier file, or an empty one.

        Args:
            path: Where it is to be.
            replace: Whether it may take the place of another.
            secret: Whether it is for its owner only.
            lasting: Whether it has to outlast a power cut, for which the disk is waited for.

        Returns:
            A stream to write to, for as long as the block lasts.

        Raises:
            HecliError: It cannot be written.
            RefusedError: Something is there that must not be replaced.
        """
        ...

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make, and its folder where there is none.

        Args:
            path: Where it is to be.
            data: All of it.

        Returns:
            False where it is there already.

        Raises:
            HecliError: It cannot be written.
        """
        ...

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder; none where there is no such folder.

        Args:
            folder: Its path.

        Returns:
            The names.

        Raises:
            HecliError: It cannot be read.
        """
        ...

    def exists(self, path: str) -> bool:
        """Tell whether there is a file.

        Args:
            path: Where it would be.

        Returns:
            Whether there is.

        Raises:
            HecliError: Nobody knows.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file; do nothing where there is none.

        Args:
            path: Where it is.

        Raises:
            HecliError: It cannot be removed.
        """
        ...


class Listing(NamedTuple):
    """What is in a folder.

    Args:
        files: The names of its files.
        folders: Those of its folders.
    """

    files: list[str]
    folders: list[str]


class Place(Store, Protocol):
    """A Store that can be looked through, and has folders that others write to."""

    def confined(self, root: str) -> Store:
        """Give the Store of one folder, which others write to: nothing outside of it is reached.

        Args:
            root: The path of the folder.

        Returns:
            The Store, whose paths are inside the folder.

        Raises:
            HecliError: There is none, or it cannot be used safely.
        """
        ...

    def listing(self, folder: str) -> Listing:
        """Give what is in a folder, but for links; nothing where there is no such folder.

        Args:
            folder: Its path.

        Returns:
            The names of files and folders.

        Raises:
            HecliError: It cannot be read, or nobody says what there is.
        """
        ...
