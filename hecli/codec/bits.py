"""Rows of lanes as bits, as array work."""

import numpy as np

from hecli.codec.arrays import Lanes


def filled(values: Lanes, lanes: int, count: int) -> Lanes:
    """Put values into rows, behind a first lane of its own, and zeros behind the last.

    Args:
        values: The values.
        lanes: Lanes in a row.
        count: What the first lane holds.

    Returns:
        As many rows as they need.
    """
    rows = -(-len(values) // (lanes - 1))
    found = np.zeros((rows, lanes), np.uint64)
    padded = np.zeros(rows * (lanes - 1), np.uint64)
    padded[: len(values)] = values
    found[:, 0] = count
    found[:, 1:] = padded.reshape(rows, -1)
    return found


def pack(rows: Lanes, width: int, size: int) -> bytes:
    """Write rows of lanes as bit strings.

    Args:
        rows: The lanes, each below 2^width.
        width: Bits of a lane.
        size: Bytes of a row.

    Returns:
        The rows.
    """
    word = _word(width)
    bits = np.unpackbits(rows.astype(f">u{word // 8}").view(np.uint8), axis=1)
    used = bits.reshape(*rows.shape, word)[:, :, word - width :].reshape(len(rows), -1)
    unused = np.zeros((len(rows), 8 * size - used.shape[1]), np.uint8)
    return np.packbits(np.concatenate((unused, used), axis=1), axis=1).tobytes()


def unpack(data: bytes, width: int, lanes: int, size: int) -> tuple[Lanes, bool]:
    """Read rows of lanes from bit strings.

    Args:
        data: The rows.
        width: Bits of a lane.
        lanes: Lanes in a row.
        size: Bytes of a row.

    Returns:
        The lanes, and whether all bits that hold none are zero.
    """
    word = _word(width)
    rows = np.frombuffer(data, np.uint8).reshape(-1, size)
    bits = np.unpackbits(rows, axis=1)
    unused = 8 * size - lanes * width
    used = bits[:, unused:].reshape(-1, lanes, width)
    padded = np.concatenate((np.zeros((*used.shape[:2], word - width), np.uint8), used), axis=2)
    values = np.packbits(padded.reshape(len(rows), -1), axis=1).view(f">u{word // 8}")
    return values.astype(np.uint64), not bits[:, :unused].any()


def joined(rows: Lanes, radix: int, digits: int) -> Lanes:
    """Make words of lanes, as numbers whose digits they are.

    Args:
        rows: Rows of lanes, a whole number of words each.
        radix: What lanes are below.
        digits: Lanes in a word, the first one the lowest digit.

    Returns:
        Rows of words.
    """
    if digits == 1:
        return rows
    lanes = rows.reshape(len(rows), -1, digits)
    words = np.zeros(lanes.shape[:2], np.uint64)
    for at in reversed(range(digits)):
        words = words * np.uint64(radix) + lanes[:, :, at]
    return words


def split(words: Lanes, radix: int, digits: int) -> Lanes:
    """Take words apart again.

    Args:
        words: Rows of words.
        radix: What lanes are below.
        digits: Lanes in a word.

    Returns:
        Rows of lanes. The last of a word that is too large is not below `radix`.
    """
    if digits == 1:
        return words
    lanes = np.empty((*words.shape, digits), np.uint64)
    for at in range(digits - 1):
        words, lanes[:, :, at] = np.divmod(words, np.uint64(radix))
    lanes[:, :, -1] = words
    return lanes.reshape(len(words), -1)


def _word(width: int) -> int:
    return 32 if width <= 32 else 64
