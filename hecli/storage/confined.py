"""A folder that others write to: nothing in it is opened, listed or written through a link."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hecli.errors import FormatError, HecliError
from hecli.storage.local import FILES_ONLY, LocalStore, cannot, reopened
from hecli.storage.store import Place, Store

_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
# Without O_NONBLOCK a named pipe would be waited for.
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Confined:
    """The Store of one folder of this machine, with paths relative to it.

    Whoever else can write there may put links and devices there, which would
    have this process read or write elsewhere.

    Args:
        root: The folder.

    Raises:
        HecliError: This system opens nothing by its folder, so links could not be avoided.
    """

    def __init__(self, root: str) -> None:
        if os.open not in os.supports_dir_fd:
            raise HecliError(
                "a folder that others write to cannot be used safely on this system",
                "use Linux or macOS, or the Linux subsystem of Windows",
            )
        self._root = root

    @contextmanager
    def open(self, path: str, *, many: bool = False) -> Iterator[BinaryIO]:
        """Open a file to be read; only what is a file itself."""
        if many:
            yield reopened(str(Path(self._root, path)), lambda: self.open(path))
            return
        *folders, name = _parts(path)
        shown = str(Path(self._root, path))
        with self._folder(folders, shown) as folder:

            def opener(_: str, flags: int) -> int:
                return os.open(name, flags | _FILE, dir_fd=folder)

            try:
                stream = open(shown, "rb", opener=opener)  # noqa: SIM115 - closed below
            except OSError as error:
                if Path(shown).is_symlink():
                    raise _link(shown) from error
                raise cannot("read", shown, error) from error
        with stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _no_file(shown)
            yield stream

    @contextmanager
    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> Iterator[BinaryIO]:
        """Open a new file to be written, and make its folder; it appears whole when the block ends well."""
        with self._reached(path) as target:
            mode = os.lstat(target).st_mode if os.path.lexists(target) else stat.S_IFREG
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                if not replace:
                    raise _no_file(target)
                # A link goes, not what it leads to; a named pipe would be waited for.
                self.remove(path)
            with FILES_ONLY.create(target, replace=replace, secret=secret, lasting=lasting) as stream:
                yield stream

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make, and its folder where there is none."""
        with self._reached(path) as target:
            return FILES_ONLY.claim(target, data)

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder; none where there is no such folder."""
        try:
            with self._folder(_parts(folder) if folder else [], str(Path(self._root, folder))) as opened:
                found = [each.name for each in os.scandir(opened) if each.is_file(follow_symlinks=False)]
        except HecliError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise
        return [name for name in found if not name.startswith(".")]

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        try:
            with self.open(path):
                return True
        except HecliError:
            return False

    def remove(self, path: str) -> None:
        """Remove a file; nothing where there is none."""
        *folders, name = _parts(path)
        shown = str(Path(self._root, path))
        try:
            with self._folder(folders, shown) as folder, suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        except OSError as error:
            raise cannot("remove", shown, error) from error

    @contextmanager
    def _folder(self, parts: Sequence[str], shown: str, *, make: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root, reached through no link, and made where it is to be."""
        try:
            descriptor = os.open(self._root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except OSError as error:
            raise cannot("read", self._root, error) from error
        try:
            for part in parts:
                try:
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(part, dir_fd=descriptor)
                    below = os.open(part, os.O_RDONLY | _FOLDER, dir_fd=descriptor)
                except OSError as error:
                    if not isinstance(error, FileNotFoundError) and Path(shown).parent.is_symlink():
                        raise _link(str(Path(shown).parent)) from error
                    raise cannot("write" if make else "read", shown, error) from error
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _reached(self, path: str) -> Iterator[str]:
        """A path to a file to be written in its folder, whatever that is exchanged for meanwhile."""
        *folders, name = _parts(path)
        shown = Path(self._root, path)
        with self._folder(folders, str(shown), make=True) as folder:
            held = f"/proc/self/fd/{folder}"
            # Elsewhere than on Linux a descriptor has no path.
            place = held if os.path.isdir(held) else str(shown.parent)
            try:
                yield f"{place}/{name}"
            except HecliError as error:
                error.message = error.message.replace(place, str(shown.parent))
                error.args = (error.message,)
                raise


class Folders(LocalStore):
    """All folders of this machine, with those that others write to."""

    def confined(self, root: str) -> Store:
        """Give the Store of a folder that others write to."""
        if not os.path.isdir(root):
            raise HecliError(f"there is no folder {root}", "check its path")
        return Confined(root)


FOLDERS: Place = Folders()
"""This machine's."""


def _parts(path: str) -> list[str]:
    parts = PurePosixPath(path).parts
    if not parts or any(part in {"/", "..", "."} for part in parts):
        raise FormatError(f"{path!r} is no path inside the folder")
    return list(parts)


def _no_file(path: str) -> FormatError:
    return FormatError(f"{path}: is no file", "whoever can write to the folder put it there: remove it")


def _link(path: str) -> FormatError:
    return FormatError(
        f"{path}: is a link, and nothing in a shared folder is opened through one",
        "whoever can write to the folder put it there: remove it",
    )
