"""Files of a place that are looked for: by a pattern, or in a folder and all below it."""

import fnmatch
import glob
from collections.abc import Iterator, Sequence

from hecli.errors import HecliError
from hecli.storage.paths import joined, named, place_of, same_place, scheme_of
from hecli.storage.store import Place

DEEPEST = 64
"""Most folders in each other that are looked through."""


def match(place: Place, pattern: str) -> Sequence[str]:
    """Find the files that a pattern names; as in shells, * is no slash and finds nothing hidden.

    Args:
        place: Where to look.
        pattern: A path or URL with *, ? and [...] in any part of it but the host or bucket.

    Returns:
        Their paths, sorted.

    Raises:
        HecliError: Nobody says what there is.
    """
    if scheme_of(pattern) is None:
        return sorted(glob.glob(pattern))  # noqa: PTH207 - of any folder, as shells do
    bucket, path = place_of(pattern)
    if glob.has_magic(bucket):
        raise HecliError(f"{named(pattern)}: a pattern is for the path behind a bucket", "name the bucket")
    *parts, last = path.split("/")
    folders = [f"{scheme_of(pattern)}://{bucket}"]
    for part in parts:
        folders = [
            joined(folder, name)
            for folder in folders
            for name in (_fitting(place.listing(folder).folders, part) if glob.has_magic(part) else [part])
        ]
    return [
        joined(folder, name) for folder in folders for name in _fitting(place.listing(folder).files, last)
    ]


def walk(place: Place, folder: str, without: str | None = None) -> Iterator[str]:
    """Find all files in a folder and those in it, but for what is hidden.

    Args:
        place: Where to look.
        folder: The path or URL of the folder.
        without: A folder that is left out.

    Yields:
        Their paths inside the folder.

    Raises:
        HecliError: A folder cannot be read.
    """
    # The folders that are left, the next one last; their depth keeps a hostile place from having no end.
    left = [""]
    while left:
        inside = left.pop()
        found = place.listing(joined(folder, inside) if inside else folder)
        names = sorted(name for name in (*found.files, *found.folders) if not name.startswith("."))
        below = [f"{inside}/{name}" if inside else name for name in names]
        folders = {name for name in found.folders if name not in found.files}
        yield from (path for path, name in zip(below, names, strict=True) if name not in folders)
        for path, name in zip(below[::-1], names[::-1], strict=True):
            if name in folders and not (without and same_place(joined(folder, path), without)):
                if path.count("/") >= DEEPEST:
                    raise HecliError(
                        f"{named(folder)}: is more than {DEEPEST} folders deep", "name another one"
                    )
                left.append(path)


def _fitting(names: list[str], pattern: str) -> list[str]:
    hidden = pattern.startswith(".")
    return sorted(
        name for name in names if fnmatch.fnmatchcase(name, pattern) and name.startswith(".") is hidden
    )
