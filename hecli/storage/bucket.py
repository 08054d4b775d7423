"""One bucket of S3, Google Cloud Storage or Azure, and what is asked of it: each answer in hecli's words."""

import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar

from hecli.errors import HecliError, RefusedError, UnreachableError
from hecli.storage.honest import check_claims
from hecli.storage.paths import joined, named, place_of, scheme_of
from hecli.storage.ranges import Fetch, Range
from hecli.storage.store import Listing
from hecli.storage.traffic import TRAFFIC

TRIES = 5
"""How often a small file is sent whose answer is lost each time."""

PAUSE = 0.2
"""Seconds before it is sent again, twice as many each time."""

PATIENCE = timedelta(minutes=5)
"""How long one request may take: 64 MiB through 2 Mbit a second."""

RETRY = {"max_retries": 4, "backoff": {"init_backoff": timedelta(milliseconds=200)}}
"""How often the library asks again by itself, where that does no harm."""

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with pip install 'hecli[aws]'",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_USE_AZURE_CLI=true",
}
"""What to do where there are none, by the scheme of the URL."""

ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
)
"""Where else than at the large clouds a server is, which may be one without TLS."""

ASK = "ask its owner for the right to do it"
OTHERS = "such as If-None-Match; use another one, docs/storage.md names some"

_EMPTY = re.compile(r"status code: 416 |InvalidRange")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound")
_DENIED = re.compile(r"status code: 40[13] ")
_NO_CONDITIONS = re.compile(r"status code: 501 |<Code>NotImplemented")
# The library asks the machine that it may run on in the end.
_NO_CREDENTIALS = re.compile(
    r"Missing ?(AccessKeyId|SecretAccessKey|Account)|[Cc]redential|169\.254\.169\.254"
    r"|/latest/(api|meta-data)/|computeMetadata|/metadata/identity"
)

R = TypeVar("R")


class AbsentError(HecliError):
    """There is no such file."""


class ThereError(RefusedError):
    """There is a file already."""


class EmptyError(HecliError):
    """A file has no bytes, so that no range of it can be given."""


class DeniedError(HecliError):
    """These credentials may not do it."""


class LostError(UnreachableError):
    """No answer, or none that says what became of the request."""


class Bucket:
    """One bucket, and all that is asked of it; what fails is a HecliError that names bucket and file.

    Args:
        url: Its URL, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.scheme = scheme_of(url) or ""
        self._honest: set[str] = set()

    @cached_property
    def api(self) -> Any:
        """The library, which is imported where a bucket is used."""
        try:
            import obstore  # noqa: PLC0415 - only where there are buckets
        except ImportError as error:
            raise HecliError(
                f"{self.url} takes the package obstore, which is missing", "pip install 'hecli[cloud]'"
            ) from error
        return obstore

    @cached_property
    def store(self) -> Any:
        """The bucket as the library knows it, with credentials of the environment."""
        make: Any = import_module(f"{self.api.__name__}.store").from_url
        given_ones = {name: os.environ[name] for name in ENDPOINTS if os.environ.get(name)}
        for name, address in given_ones.items():
            if not address.startswith(("http://", "https://")):
                raise HecliError(
                    f"{name} is {address!r}, which is no address", "begin it with https://, or with http://"
                )
        plain = any(address.startswith("http://") for address in given_ones.values())
        options = {"timeout": PATIENCE, "connect_timeout": timedelta(seconds=5), "allow_http": plain}
        given = _profile(self.url) if self.scheme == "s3" else {}
        return self.asked(
            "reach", self.url, lambda: make(self.url, client_options=options, retry_config=RETRY, **given)
        )

    def reader(self, key: str) -> Fetch:
        """Get ready to read a file.

        Args:
            key: Which.

        Returns:
            What reads ranges of it. It raises AbsentError where there is none.
        """
        path = joined(self.url, key)

        def get(start: int, size: int) -> Range:
            result = self.api.get(self.store, key, options={"range": (start, start + size)})
            data = memoryview(result.bytes())
            TRAFFIC.received += len(data)
            return Range(data, result.meta["size"], result.meta["e_tag"])

        def fetch(start: int, size: int) -> Range:
            try:
                return self.asked("read", path, lambda: get(start, size))
            except EmptyError:
                return Range(b"", 0)

        return fetch

    def size(self, key: str) -> int | None:
        """Say how large a file is.

        Args:
            key: Which.

        Returns:
            Its bytes; None where there is none.
        """
        try:
            found = self.asked("look for", joined(self.url, key), lambda: self.api.head(self.store, key))
        except AbsentError:
            return None
        return int(found["size"])

    def listing(self, folder: str) -> Listing:
        """Say what is in a folder.

        Args:
            folder: Which, without a slash at its end; nothing for the bucket itself.

        Returns:
            Its files and folders.
        """
        prefix = f"{folder}/" if folder else ""
        found = self.asked(
            "list", joined(self.url, folder), lambda: self.api.list_with_delimiter(self.store, prefix)
        )
        # Some have a file in the place of the folder itself.
        inside = [each["path"] for each in found["objects"] if each["path"].startswith(prefix)]
        return Listing(
            [path.removeprefix(prefix) for path in inside if path != prefix],
            [each.rstrip("/").rpartition("/")[2] for each in found["common_prefixes"]],
        )

    def remove(self, key: str) -> None:
        """Remove a file; do nothing where there is none.

        Args:
            key: Which.
        """
        for attempt in range(TRIES):
            try:
                self.asked("remove", joined(self.url, key), lambda: self.api.delete(self.store, key))
            except AbsentError:
                return
            except LostError:
                # The library does not ask for it again by itself.
                if attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE * 2**attempt)
            else:
                return

    def put(self, key: str, data: bytes | bytearray | memoryview, *, replace: bool) -> None:
        """Send a file as one.

        Args:
            key: Where it is to be.
            data: All of it.
            replace: Whether it may take the place of another.

        Raises:
            ThereError: There is one, and it may not.
        """
        mode = "overwrite" if replace else "create"
        self.asked(
            "write",
            joined(self.url, key),
            lambda: self.api.put(self.store, key, data, mode=mode, use_multipart=False),
        )
        TRAFFIC.sent += len(data)

    def claim(self, key: str, data: bytes | bytearray) -> bool:
        """Send a file as one, where nothing is.

        Args:
            key: Where it is to be.
            data: All of it.

        Returns:
            Whether it is there; False where another one is.
        """
        for attempt in range(TRIES):
            failure: HecliError | None = None
            try:
                self.put(key, data, replace=False)
            except ThereError:
                pass
            except HecliError as error:
                failure = error
            else:
                return True
            # Somebody's, or one's own from before the answer was lost.
            found = self.content(key, len(data))
            if found is not None:
                return found == data
            if failure is not None and not isinstance(failure, LostError):
                raise failure
            time.sleep(PAUSE * 2**attempt)
        raise failure or HecliError(
            f"cannot write {named(joined(self.url, key))}: it is there, and is not", "try again"
        )

    def content(self, key: str, size: int) -> bytes | None:
        """Read a small file.

        Args:
            key: Which.
            size: How many bytes it may have; of a larger one, one more is read.

        Returns:
            Its content; None where there is none.
        """
        try:
            found = self.reader(key)(0, size + 1)
        except AbsentError:
            return None
        return bytes(found.data)

    def check_honest(self, folder: str) -> None:
        """Refuse, once, a folder in which a new file can take the place of another.

        Args:
            folder: Where to try it, with a file of a random name.

        Raises:
            RefusedError: It can.
        """
        if folder not in self._honest:
            key = (f"{folder}/" if folder else "") + f".probe-{secrets.token_hex(16)}"
            try:
                check_claims(self.url, lambda data: self.claim(key, data))
            finally:
                # Whoever may add files may not always remove them.
                with suppress(HecliError):
                    self.remove(key)
            self._honest.add(folder)

    def asked(self, verb: str, path: str, call: Callable[[], R]) -> R:
        """Ask the library for something, and put what it raises into words, of which none are its own.

        Args:
            verb: What is done, for errors.
            path: With which file.
            call: Asks for it.

        Returns:
            What it gave.

        Raises:
            HecliError: What the library raised.
        """
        try:
            return call()
        except FileNotFoundError as error:
            if _NO_BUCKET.search(self._unchosen(error, path)):
                raise self._no_bucket() from error
            raise AbsentError(f"cannot {verb} {named(path)}: no such file", "check its name") from error
        except self.api.exceptions.BaseError as error:
            raise self._said(verb, path, error) from error
        except (ValueError, TypeError) as error:
            raise HecliError(
                f"cannot {verb} {named(path)}: it is no name that a bucket's file can have",
                "leave out //, . and .. between slashes",
            ) from error

    def _unchosen(self, error: Exception, path: str) -> str:
        """What the library says, without the names that people chose, which could be any words."""
        text = str(error)
        for chosen in (path.removeprefix(self.url).strip("/"), place_of(self.url)[0]):
            text = text.replace(chosen, "") if chosen else text
        return text

    def _said(self, verb: str, path: str, error: Exception) -> HecliError:
        known, what = self.api.exceptions, f"cannot {verb} {named(path)}"
        text = self._unchosen(error, path)
        if isinstance(error, known.AlreadyExistsError | known.PreconditionError):
            return ThereError(f"{named(path)} exists", "name another file with -o")
        if isinstance(error, known.InvalidPathError) or "nvalid path" in text or "empty path segment" in text:
            return HecliError(
                f"{what}: a file there has a name that cannot be used",
                "remove what has // or .. in its name; whoever may write there put it there",
            )
        for pattern, made in (
            (_EMPTY, EmptyError(f"{named(path)} is empty")),
            (_NO_BUCKET, self._no_bucket()),
            (_DENIED, DeniedError(f"{what}: the storage denies it to these credentials", ASK)),
            (_NO_CREDENTIALS, HecliError(f"{what}: there are no credentials", CREDENTIALS[self.scheme])),
            (_NO_CONDITIONS, HecliError(f"{what}: its server does not know conditions", OTHERS)),
        ):
            if pattern.search(text):
                return made
        if isinstance(error, known.PermissionDeniedError | known.UnauthenticatedError):
            return DeniedError(f"{what}: the storage denies it to these credentials", ASK)
        return LostError(
            f"{what}: the storage does not answer", "check the network and the address, and try again"
        )

    def _no_bucket(self) -> HecliError:
        return HecliError(f"there is no bucket {self.url}", "check its name, and the account it is in")


def _profile(url: str) -> dict[str, Any]:
    """Credentials of ~/.aws, where the environment has no others and they can be read."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    try:
        import boto3  # noqa: PLC0415 - an extra
    except ImportError as error:
        if profile := os.environ.get("AWS_PROFILE"):
            raise HecliError(
                f"the profile {profile!r} of AWS_PROFILE takes a package that is missing",
                "pip install 'hecli[aws]'",
            ) from error
        return {}
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415

    try:
        session = boto3.Session()
        found = session.get_credentials()
    except BotoCoreError as error:
        raise HecliError(
            f"cannot reach {url}: there is no such profile in ~/.aws", CREDENTIALS["s3"]
        ) from error
    if found is None:
        return {}
    given: dict[str, Any] = {"credential_provider": Boto3CredentialProvider(session)}
    if session.region_name:
        given["region"] = session.region_name
    return given
