"""Random bits that everybody computes from the plan alone.

They choose signs and places, and hide nothing: it is enough that nobody could
fit an update to them before the plan was made.
"""

from hecli.formats.canonical import digest_of

_START = bytes(16)


class Stream:
    """AES-256 in counter mode over zeros, from a counter block of zeros.

    Args:
        label: What the bits are for.
        seed: What they follow from, such as the digest of a plan.
        tensor: The number of the tensor that they are for.
    """

    def __init__(self, label: str, seed: bytes, tensor: int) -> None:
        # Imported here because it takes longer to import than most commands take to run.
        from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.algorithms import AES256  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.modes import CTR  # noqa: PLC0415

        key = digest_of(label, seed, tensor.to_bytes(4, "big"))
        self._stream = Cipher(AES256(key), CTR(_START)).encryptor()

    def take(self, count: int) -> bytes:
        """Take the next bytes.

        Args:
            count: How many.

        Returns:
            Them.
        """
        return self._stream.update(bytes(count))
