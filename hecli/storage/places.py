"""All places for files, one Store: this machine's folders, and what URLs name."""

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import BinaryIO

from hecli.errors import HecliError
from hecli.storage.confined import FOLDERS
from hecli.storage.paths import named, scheme_of
from hecli.storage.store import Listing, Place, Store

STORES = {
    **dict.fromkeys(("s3", "gs", "az"), "cloud:CloudStore"),
    "sftp": "sftp:SftpStore",
    "https": "web:WebStore",
}
"""The module and the class of the Store of each kind of URL, imported where one is used."""


_SLIP = re.compile(rf"({'|'.join(STORES)}):/?[^/]")


@cache
def store_at(place: str) -> Place:
    """Make a Store, once.

    Args:
        place: One of STORES.

    Returns:
        The Store.
    """
    module, name = place.split(":")
    store: Place = getattr(import_module(f"hecli.storage.{module}"), name)()
    return store


class Everywhere:
    """The Store of paths and URLs, which each go to the one that knows them."""

    def open(self, path: str, *, many: bool = False) -> AbstractContextManager[BinaryIO]:
        """Open a file to be read."""
        return _store(path).open(path, many=many)

    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> AbstractContextManager[BinaryIO]:
        """Open a new file to be written."""
        return _store(path).create(path, replace=replace, secret=secret, lasting=lasting)

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make."""
        return _store(path).claim(path, data)

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder."""
        return _store(folder).list(folder)

    def listing(self, folder: str) -> Listing:
        """Give what is in a folder."""
        return _store(folder).listing(folder)

    def confined(self, root: str) -> Store:
        """Give the Store of a folder that others write to."""
        return _store(root).confined(root)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        return _store(path).exists(path)

    def remove(self, path: str) -> None:
        """Remove a file."""
        _store(path).remove(path)


ANYWHERE: Place = Everywhere()
"""Of all places."""


def _store(path: str) -> Place:
    scheme = scheme_of(path)
    if scheme is None and (slip := _SLIP.match(path)) and not os.path.lexists(path):
        raise HecliError(f"{path} is neither a file nor a URL", f"write {slip[1]}:// with two slashes")
    if scheme is None:
        return FOLDERS
    if scheme not in STORES:
        known = ", ".join(f"{each}://" for each in STORES)
        hint = "use https://" if scheme == "http" else f"there are {known}; a file here needs no file://"
        raise HecliError(f"{named(path)}: hecli does not know {scheme}://", hint)
    return store_at(STORES[scheme])
