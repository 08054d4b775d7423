"""The one encoding of every msgpack object in a file, and digests over it.

Whatever does not re-encode to the same bytes is refused. The only module that
knows msgpack.
"""

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import msgpack

from hecli.errors import FormatError

VERSION = 2
CUT_SHORT = "copy the file again, it was cut short"
DEPTH_LIMIT = 8
MAP_LIMIT = 64
LIST_LIMIT = 1 << 18
"""Most maps and lists in a header: each takes far more memory than bytes."""

Map = dict[str, Any]
Types = Mapping[str, type | tuple[type, ...]]


def pack(value: Any) -> bytes:
    """Encode in the one canonical way: map keys sorted, the shortest of every form.

    Args:
        value: What to encode.

    Returns:
        The bytes.

    Raises:
        FormatError: It is nested deeper than the format allows.
    """
    packed: bytes = msgpack.packb(_sorted(value, DEPTH_LIMIT), use_bin_type=True)
    return packed


def repack(value: Any) -> bytes:
    """Encode again what `unpack` gave, or a part of it, whose keys are sorted already.

    Args:
        value: What to encode.

    Returns:
        The bytes.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(data: bytes, name: str, what: str) -> Any:
    """Decode, refusing any but the canonical encoding.

    Args:
        data: The bytes.
        name: The file, for errors.
        what: The part of it, for errors.

    Returns:
        The value.

    Raises:
        FormatError: They are not the canonical encoding of anything.
    """
    maps, lists = itertools.count(1), itertools.count(1)

    def checked_map(pairs: list[tuple[str, Any]]) -> Map:
        if next(maps) > MAP_LIMIT:
            raise FormatError("has too many maps")
        return _in_order(pairs)

    def checked_list(items: list[Any]) -> list[Any]:
        if next(lists) > LIST_LIMIT:
            raise FormatError("has too many lists")
        return _plain(items)

    try:
        value = msgpack.unpackb(
            data, object_pairs_hook=checked_map, list_hook=checked_list, strict_map_key=True
        )
        _plain([value])
        if isinstance(value, dict | list) and _too_deep(value, DEPTH_LIMIT - 1):
            raise FormatError("is nested too deeply")
        canonical = repack(value)
    except FormatError as error:
        raise FormatError(f"{name}: {what} {error.message}") from error
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise FormatError(f"{name}: {what} is not valid msgpack") from error
    if canonical != data:
        raise FormatError(f"{name}: {what} is not in canonical form")
    return value


def size_of_first(data: bytes, name: str, what: str) -> int | None:
    """Measure the first object in some bytes.

    Args:
        data: The bytes.
        name: The file, for errors.
        what: The part of it, for errors.

    Returns:
        Its size in bytes, None where `data` ends before it does.

    Raises:
        FormatError: They are no msgpack.
    """
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
    """Compute a digest under a domain label.

    Args:
        label: What the digest is for.
        parts: What it is over; callers keep their lengths unambiguous.

    Returns:
        SHA-256, 32 bytes.
    """
    digest = hashlib.sha256(label_of(label))
    for part in parts:
        digest.update(part)
    return digest.digest()


def label_of(label: str) -> bytes:
    """Give the bytes that set one use of a hash or a key apart from all others.

    Args:
        label: What it is for.

    Returns:
        The bytes.
    """
    return f"hecli {label} v{VERSION}\0".encode()


def fingerprint(digest: bytes) -> str:
    """Write what people read to each other.

    Args:
        digest: 32 bytes.

    Returns:
        Their first 20 in hexadecimal, in groups of four.
    """
    digits = digest[:20].hex()
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def fields(
    value: object,
    name: str,
    what: str,
    types: Types,
    optional: Types | None = None,
) -> None:
    """Refuse what is not a map with exactly these fields.

    Each of `types` must be there, each of `optional` may be, and no other.

    Args:
        value: What stands in a file.
        name: The file, for errors.
        what: The part of it, for errors.
        types: Fields that must be there, with their types.
        optional: Fields that may be there.

    Raises:
        FormatError: It is no map, or has other fields.
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
    """Give the shortest msgpack prefix of a byte string.

    Args:
        size: How many bytes.

    Returns:
        The prefix.
    """
    if size < 1 << 8:
        return b"\xc4" + size.to_bytes(1, "big")
    if size < 1 << 16:
        return b"\xc5" + size.to_bytes(2, "big")
    return b"\xc6" + size.to_bytes(4, "big")


def bin_size(size: int) -> int:
    """Measure a byte string as msgpack writes it.

    Args:
        size: How many bytes.

    Returns:
        How many with the prefix.
    """
    return len(bin_prefix(size)) + size


def _in_order(pairs: list[tuple[str, Any]]) -> Map:
    """A map, whose keys must be sorted."""
    result = dict(pairs)
    _plain([value for _, value in pairs])
    if len(result) != len(pairs):
        raise FormatError("has the same key twice")
    if list(result) != sorted(result):
        raise FormatError("is not in canonical form")
    return result


def _plain(items: list[Any]) -> list[Any]:
    """The same items, none of which has an extension type: msgpack's own are objects of two kinds."""
    types = set(map(type, items))
    if msgpack.ExtType in types or msgpack.Timestamp in types:
        raise FormatError("is not in canonical form")
    return items


def _too_deep(value: Any, levels: int) -> bool:
    """Whether a map or list holds more than so many levels."""
    items = value.values() if isinstance(value, dict) else value
    if not levels:
        return bool(items)
    return any(_too_deep(item, levels - 1) for item in items if isinstance(item, dict | list))


def _sorted(value: Any, depth: int) -> Any:
    if depth == 0:
        raise FormatError("is nested too deeply")
    if isinstance(value, dict):
        return {key: _sorted(value[key], depth - 1) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item, depth - 1) for item in value]
    return value
