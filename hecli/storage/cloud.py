"""Buckets of S3, Google Cloud Storage and Azure, and of servers that speak as these do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from hecli.errors import HecliError, RefusedError
from hecli.storage.below import Below
from hecli.storage.bucket import Bucket, DeniedError
from hecli.storage.paths import named, place_of, scheme_of, taken
from hecli.storage.ranges import FRONT, RangeStream
from hecli.storage.store import Listing, Store
from hecli.storage.uploading import Upload


class CloudStore:
    """The Store of buckets, whose files are URLs such as s3://bucket/round/anna.enc.

    Nothing in a URL is decoded: what stands behind the bucket is the key.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    @contextmanager
    def open(self, path: str, *, many: bool = False) -> Iterator[BinaryIO]:
        """Open a file to be read, in one request; it is read in ranges, and ahead."""
        bucket, key = self._split(path)
        fetch = bucket.reader(key)
        yield RangeStream(fetch(0, FRONT), fetch, named(path), ahead=not many).stream

    @contextmanager
    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> Iterator[BinaryIO]:
        """Open a new file to be written, which is sent as it grows and is there when the block ends well."""
        del lasting
        if secret:
            raise RefusedError(
                f"a secret is not written to {named(path)}", "name a file of this machine with -o"
            )
        bucket, key = self._split(path)
        # Some may add files, and not look for them.
        with suppress(DeniedError):
            if not replace and bucket.size(key) is not None:
                raise taken(path)
        upload = Upload(bucket, key, replace=replace)
        try:
            yield cast("BinaryIO", upload)
            upload.finish()
        except BaseException:
            upload.abandon()
            raise

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make."""
        bucket, key = self._split(path)
        bucket.check_honest(key.rpartition("/")[0])
        return bucket.claim(key, data)

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder; none where there is no such folder."""
        return [name for name in self.listing(folder).files if not name.startswith(".")]

    def listing(self, folder: str) -> Listing:
        """Give what is in a folder; nothing where there is no such folder."""
        bucket, key = self._split(folder, file=False)
        return bucket.listing(key.rstrip("/"))

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        bucket, key = self._split(path)
        return bucket.size(key) is not None

    def remove(self, path: str) -> None:
        """Remove a file; do nothing where there is none."""
        bucket, key = self._split(path)
        bucket.remove(key)

    def confined(self, root: str) -> Store:
        """Give the Store of a folder that others write to."""
        return Below(self, root)

    def _split(self, path: str, *, file: bool = True) -> tuple["Bucket", str]:
        scheme = scheme_of(path)
        place, key = place_of(path)
        if not place or (file and not key.rpartition("/")[2]):
            raise HecliError(f"{named(path)} names no file", "write it as s3://bucket/folder/file")
        if {"", ".", ".."} & set(key.rstrip("/").split("/")) and key:
            raise HecliError(
                f"{named(path)}: it is no name that a bucket's file can have",
                "leave out //, . and .. between slashes",
            )
        url = f"{scheme}://{place}"
        if url not in self._buckets:
            self._buckets[url] = Bucket(url)
        return self._buckets[url], key
