"""Lanes into plaintexts and out again, as array work.

A plaintext is a big-endian bit string of fixed width: unused zero bits, then
the lanes, `width` bits each, the first lane in the highest bits.
"""

import numpy as np

from hecli.codec.quantise import Lanes


def pack(lanes: Lanes, width: int, size: int) -> bytes:
    """Rows of lanes (n by lanes, each below 2^width) as n plaintexts of `size` bytes."""
    word = 32 if width <= 32 else 64
    bits = np.unpackbits(lanes.astype(f">u{word // 8}").view(np.uint8), axis=1)
    used = bits.reshape(*lanes.shape, word)[:, :, word - width :].reshape(len(lanes), -1)
    unused = np.zeros((len(lanes), 8 * size - used.shape[1]), np.uint8)
    return np.packbits(np.concatenate((unused, used), axis=1), axis=1).tobytes()


def unpack(plaintexts: bytes, width: int, lanes: int, size: int) -> tuple[Lanes, bool]:
    """The rows of lanes in plaintexts of `size` bytes, and whether all unused bits are zero."""
    word = 32 if width <= 32 else 64
    rows = np.frombuffer(plaintexts, np.uint8).reshape(-1, size)
    bits = np.unpackbits(rows, axis=1)
    unused = 8 * size - lanes * width
    used = bits[:, unused:].reshape(-1, lanes, width)
    padded = np.concatenate((np.zeros((*used.shape[:2], word - width), np.uint8), used), axis=2)
    values = np.packbits(padded.reshape(len(rows), -1), axis=1).view(f">u{word // 8}")
    return values.astype(np.uint64), not bits[:, :unused].any()
