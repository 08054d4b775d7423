"""Paths and URLs alike: what names a file, wherever it is."""

import os
import posixpath
import re
from pathlib import Path

from hecli.errors import RefusedError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/@]*:.*@", re.DOTALL)
"""A user and a password before a host."""

_SIGNED = re.compile(r"\?(?=.*(?:sig|signature|token|credential)=)", re.DOTALL | re.IGNORECASE)
"""A query that opens what stands before it."""


def scheme_of(path: str) -> str | None:
    """Give the scheme of a URL.

    Args:
        path: A path or a URL.

    Returns:
        The scheme in lower case; None for a path of this machine.
    """
    match = _URL.fullmatch(path)
    return match[1].lower() if match else None


def place_of(url: str) -> tuple[str, str]:
    """Divide a URL behind its scheme; nothing in it is decoded.

    Args:
        url: The URL.

    Returns:
        The host or bucket, and the path without the slash before it.

    Raises:
        RefusedError: It holds a password, or what is as good as one.
    """
    match = _URL.fullmatch(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", url)
    place, _, path = rest.partition("/")
    # A password may have a slash in it: whatever stands between a colon and an @ can be part of one.
    if _PASSWORD.match(rest) or (scheme == "https" and "@" in place):
        raise RefusedError(
            f"{named(url)} holds a password, which command lines and logs would show",
            "leave it out: credentials come from the environment, and ssh has its own",
        )
    if scheme != "https" and _SIGNED.search(rest):
        raise RefusedError(
            f"{named(url)} holds a signature, which whoever sees it could use",
            "a signed address begins with https://; else leave it out",
        )
    return place, path


def named(path: str) -> str:
    """Say how errors and summaries name a file: without what a URL could hold that opens it.

    Args:
        path: A path or a URL.

    Returns:
        The name: of a URL without password, query and fragment.
    """
    match = _URL.fullmatch(path)
    if match is None:
        return path
    scheme, rest = match[1], match[2]
    if scheme.lower() in {"http", "https"}:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
        user, at, rest = rest.partition("@") if "@" in rest.partition("/")[0] else ("", "", rest)
        return f"{scheme}://{'...' + at if user else ''}{rest}"
    signed = _SIGNED.search(rest)
    rest = rest[: signed.start()] if signed else rest
    if _PASSWORD.match(rest):
        rest = "..." + rest[rest.rindex("@") :]
    return f"{scheme}://{rest}"


def file_name(path: str) -> str:
    """Give the last part of a path or a URL.

    Args:
        path: It.

    Returns:
        The file's name.
    """
    return posixpath.basename(named(path)) if scheme_of(path) else Path(path).name


def folder_of(path: str) -> str:
    """Give the folder of a file.

    Args:
        path: The path or URL of the file.

    Returns:
        That of its folder.
    """
    return named(path).rpartition("/")[0] if scheme_of(path) else str(Path(path).parent)


def joined(folder: str, name: str) -> str:
    """Name a file in a folder.

    Args:
        folder: The path or URL of the folder.
        name: The file's name, or its path inside the folder.

    Returns:
        The path or URL of the file.
    """
    return f"{folder.rstrip('/')}/{name}" if scheme_of(folder) else str(Path(folder, name))


def with_suffix(path: str, suffix: str) -> str:
    """Name a file beside another, with another suffix.

    Args:
        path: The path or URL of the other.
        suffix: The suffix, with its dot.

    Returns:
        The path or URL.
    """
    if scheme_of(path) is None:
        return str(Path(path).with_suffix(suffix))
    return joined(folder_of(path), str(Path(file_name(path)).with_suffix(suffix)))


def same_place(one: str, other: str) -> bool:
    """Tell whether two paths or URLs are the same.

    Args:
        one: The one, and
        other: the other.

    Returns:
        Whether they lead to the same place.
    """
    if scheme_of(one) or scheme_of(other):
        return one.rstrip("/") == other.rstrip("/")
    return os.path.realpath(one) == os.path.realpath(other)


def taken(path: str, hint: str | None = None) -> RefusedError:
    """Say that something is there.

    Args:
        path: Where.
        hint: What to do about it.

    Returns:
        The error, to be raised.
    """
    return RefusedError(
        f"{named(path)} exists", hint or "name another file with -o, or pass --force to replace it"
    )
