"""The one encoding of every msgpack object in a file, and digests over it.

Whatever does not re-encode to the same bytes is refused. The only module that
knows msgpack.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from hecli.errors import FormatError

VERSION = 1
CUT_SHORT = "copy the file again, it was cut short"
DEPTH_LIMIT = 8
MAP_LIMIT = 64
LIST_LIMIT = 1 << 18
"""Most maps and lists in a header: each takes far more memory than bytes."""

Map = dict[str, Any]


def pack(value: Any) -> bytes:
    """`value` in the canonical encoding: map keys sorted, the shortest of every form.

    Raises FormatError for nesting deeper than the format allows.
    """
    packed: bytes = msgpack.packb(_sorted(value, DEPTH_LIMIT), use_bin_type=True)
    return packed


def unpack(data: bytes, name: str, what: str) -> Any:
    """The value that `data` encodes, refusing any but the canonical encoding.

    Raises FormatError, naming the file and the part of it.
    """
    maps, lists = itertools.count(1), itertools.count(1)

    def checked_map(pairs: list[tuple[str, Any]]) -> Map:
        if next(maps) > MAP_LIMIT:
            raise FormatError("has too many maps")
        result = dict(pairs)
        if len(result) != len(pairs):
            raise FormatError("has the same key twice")
        return result

    def checked_list(items: list[Any]) -> list[Any]:
        if next(lists) > LIST_LIMIT:
            raise FormatError("has too many lists")
        return items

    try:
        value = msgpack.unpackb(
            data, object_pairs_hook=checked_map, list_hook=checked_list, strict_map_key=True
        )
        canonical = pack(value)
    except FormatError as error:
        raise FormatError(f"{name}: {what} {error.message}") from error
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise FormatError(f"{name}: {what} is not valid msgpack") from error
    if canonical != data:
        raise FormatError(f"{name}: {what} is not in canonical form")
    return value


def unpack_first(data: bytes, name: str, what: str, *, whole: bool) -> tuple[Sequence[object], int]:
    """The first object in `data`, an array, and its size in bytes.

    Raises FormatError, also where `data` ends before the object does: it is
    cut short if `data` is all there is (`whole`), too long otherwise.
    """
    size = size_of_first(data, name, what)
    if size is None:
        if whole:
            raise FormatError(f"{name}: ends too early", CUT_SHORT)
        raise FormatError(f"{name}: {what} is too long")
    value = unpack(data[:size], name, what)
    if not isinstance(value, list):
        raise FormatError(f"{name}: {what} is not an array")
    return value, size


def size_of_first(data: bytes, name: str, what: str) -> int | None:
    """The size in bytes of the first object in `data`, None where `data` ends before it does."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(1, len(data)), use_list=False)
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        return None
    except (ValueError, msgpack.UnpackException) as error:
        raise FormatError(f"{name}: {what} is not valid msgpack") from error
    return int(unpacker.tell())


def digest_of(label: str, *parts: bytes) -> bytes:
    """SHA-256 over a domain label and `parts`; callers keep the parts' lengths unambiguous."""
    digest = hashlib.sha256(f"hecli {label} v{VERSION}\0".encode())
    for part in parts:
        digest.update(part)
    return digest.digest()


def fields(
    value: object,
    name: str,
    what: str,
    types: Mapping[str, type | tuple[type, ...]],
    optional: Mapping[str, type | tuple[type, ...]] | None = None,
) -> None:
    """Raise FormatError unless `value` is a map with these keys, of these types.

    Each of `types` must be there, each of `optional` may be, and no other.
    """
    if not isinstance(value, dict):
        raise FormatError(f"{name}: {what} is not a map")
    known = {**types, **(optional or {})}
    for key in value.keys() - known.keys():
        raise FormatError(
            f"{name}: {what} has the unknown field {str(key)[:64]!r}", "a newer hecli may know it"
        )
    for key, kind in known.items():
        if key not in value:
            if key not in types:
                continue
            raise FormatError(f"{name}: {what} has no field {key!r}")
        # A bool is an int to Python, but not to this format.
        if not isinstance(value[key], kind) or (isinstance(value[key], bool) and kind is not bool):
            raise FormatError(f"{name}: {what} has a field {key!r} of the wrong type")


def bin_prefix(size: int) -> bytes:
    """The msgpack prefix of a byte string of `size` bytes, the shortest there is."""
    if size < 1 << 8:
        return b"\xc4" + size.to_bytes(1, "big")
    if size < 1 << 16:
        return b"\xc5" + size.to_bytes(2, "big")
    return b"\xc6" + size.to_bytes(4, "big")


def bin_size(size: int) -> int:
    """The size of a byte string of `size` bytes as msgpack writes it."""
    return len(bin_prefix(size)) + size


def _sorted(value: Any, depth: int) -> Any:
    if depth == 0:
        raise FormatError("is nested too deeply")
    if isinstance(value, dict):
        return {key: _sorted(value[key], depth - 1) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item, depth - 1) for item in value]
    return value
