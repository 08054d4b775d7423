"""Files of web servers, which are only read."""

import http.client
import io
import re
import ssl
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from email.message import Message
from typing import IO, Any, BinaryIO, TypeVar, cast

from hecli.errors import HecliError, RefusedError
from hecli.storage.paths import named, place_of
from hecli.storage.ranges import FRONT, Range, RangeStream
from hecli.storage.spool import spooled
from hecli.storage.store import Listing, Store
from hecli.storage.traffic import TRAFFIC

TRIES = 4
PAUSE = 0.3
"""Seconds before a request is made again, twice as many each time."""

PATIENCE = 60
"""Seconds until a server that says nothing is given up."""

OK, PARTIAL, UNKNOWN, FORBIDDEN, ABSENT, GONE, NO_RANGE, TOO_MANY, ITS_OWN = (
    200, 206, 401, 403, 404, 410, 416, 429, 500,
)  # fmt: skip

R = TypeVar("R")


class WebStore:
    """The Store of web servers, whose files are URLs such as https://example.org/round.plan."""

    @contextmanager
    def open(self, path: str, *, many: bool = False) -> Iterator[BinaryIO]:
        """Open a file to be read: in ranges, or whole where the server gives no ranges."""
        place_of(path)
        with ExitStack() as stack:
            first = _again(path, lambda: _range(path, 0, FRONT))
            if first is None:
                yield _again(path, lambda: _whole(path, stack))
                return
            yield RangeStream(
                first, lambda at, size: _further(path, at, size), named(path), ahead=not many
            ).stream

    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> AbstractContextManager[BinaryIO]:
        """Refuse it."""
        del replace, secret, lasting
        raise _only_read(path)

    def claim(self, path: str, data: bytes) -> bool:
        """Refuse it."""
        del data
        raise _only_read(path)

    def list(self, folder: str) -> Sequence[str]:
        """Refuse it."""
        raise _no_listing(folder)

    def listing(self, folder: str) -> Listing:
        """Refuse it."""
        raise _no_listing(folder)

    def confined(self, root: str) -> Store:
        """Refuse it."""
        raise RefusedError(
            f"{named(root)}: web servers are only read", "a training takes a folder, a bucket or sftp://"
        )

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        try:
            with self.open(path):
                return True
        except _AbsentError:
            return False

    def remove(self, path: str) -> None:
        """Refuse it."""
        raise _only_read(path)


class _AbsentError(HecliError):
    """There is no such file."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows a server to another place, but not to one that anybody on the way could be."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            raise RefusedError(
                f"{named(req.full_url)} leads to a place that is not https", "ask for its new address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_NoDowngrade)


def _again(path: str, ask: Callable[[], R]) -> R:
    """What a server gives; asked for again where it does not answer, or not with all."""
    for attempt in range(TRIES):
        try:
            return ask()
        except urllib.error.HTTPError as error:
            if error.code not in (TOO_MANY, *range(ITS_OWN, 600)) or attempt == TRIES - 1:
                raise _refused(path, error.code) from error
        except ValueError as error:
            raise HecliError(
                f"cannot read {named(path)}: its address or its server's answer makes no sense",
                "check the address",
            ) from error
        except (OSError, http.client.HTTPException, _CutError) as error:
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise HecliError(
                    f"cannot read {named(path)}: its server does not show a certificate that is trusted here",
                    "for a certificate of your own, name its authority in SSL_CERT_FILE",
                ) from error
            if attempt == TRIES - 1:
                raise HecliError(
                    f"cannot read {named(path)}: its server does not answer",
                    "check the network and the address",
                ) from error
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError


def _range(path: str, at: int, size: int) -> Range | None:
    """A range of a file; None where the server gives none."""
    request = urllib.request.Request(_address(path), headers={"Range": f"bytes={at}-{at + size - 1}"})  # noqa: S310 - https
    try:
        with _OPENER.open(request, timeout=PATIENCE) as response:
            if response.status != PARTIAL:
                return None
            # No more than was asked for, whatever comes.
            data = response.read(size + 1)
            said = _said(response.headers)
    except urllib.error.HTTPError as error:
        # Of an empty file no range can be given.
        if error.code == NO_RANGE and at == 0:
            return Range(b"", 0)
        raise
    if said is None or (said[0], said[1] - said[0]) != (at, len(data)):
        raise _CutError
    TRAFFIC.received += len(data)
    return Range(data, said[2], response.headers.get("ETag") or response.headers.get("Last-Modified"))


def _address(path: str) -> str:
    """The address as it goes over the line, where what is not ASCII is written in its stead."""
    return urllib.parse.quote(path, safe=string.punctuation)


def _further(path: str, at: int, size: int) -> Range:
    found = _again(path, lambda: _range(path, at, size))
    if found is None:
        raise HecliError(f"{named(path)}: its server gave ranges, and now gives none", "try again")
    return found


def _said(headers: Message) -> tuple[int, int, int] | None:
    """Where a range begins and ends, and the size of the file (RFC 9110, section 14.4)."""
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", headers.get("Content-Range", ""))
    return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else None


def _whole(path: str, stack: ExitStack) -> BinaryIO:
    """All of a file, kept here."""
    with _OPENER.open(_address(path), timeout=PATIENCE) as response:
        length = response.headers.get("Content-Length")
        if length is None:
            raise HecliError(
                f"cannot read {named(path)}: its server does not say how large it is",
                "ask for another address, or download it first",
            )
        body = _Body(response, int(length))
        stream = stack.enter_context(spooled(cast("BinaryIO", body), named(path)))
        size = stream.seek(0, 2)
        # A connection that is cut looks like the end.
        if size != int(length):
            raise _CutError
    TRAFFIC.received += size
    stream.seek(0)
    return stream


class _CutError(Exception):
    """Less came than was said."""


class _Body(io.RawIOBase):
    """What a server sends; where the connection breaks, that is no fault of the disk it is kept on."""

    def __init__(self, response: http.client.HTTPResponse, size: int) -> None:
        self._response, self._left = response, size

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._response.read(min(size, self._left) if size >= 0 else self._left)
        except (OSError, http.client.HTTPException) as error:
            raise _CutError from error
        self._left -= len(data)
        return data


def _refused(path: str, status: int) -> HecliError:
    what = f"cannot read {named(path)}"
    if status in (ABSENT, GONE):
        return _AbsentError(f"{what}: no such file", "check the address")
    if status in (UNKNOWN, FORBIDDEN):
        return HecliError(f"{what}: its server denies it", "is the address a signed one that has run out?")
    return HecliError(f"{what}: its server answers with status {status}", "try again later")


def _only_read(path: str) -> RefusedError:
    return RefusedError(
        f"cannot write {named(path)}: web servers are only read",
        "name a file, or one of s3://, gs://, az:// or sftp://",
    )


def _no_listing(path: str) -> RefusedError:
    return RefusedError(f"cannot list {named(path)}: web servers do not say what they have", "name each file")
