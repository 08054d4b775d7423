"""A fresh key, dealt in shares."""

from collections.abc import Callable

from hecli.arithmetic import engines
from hecli.schemes.paillier.key_files import Share
from hecli.schemes.paillier.keys import DEFAULT_BITS, PublicKey


def deal(
    threshold: int,
    shares: int,
    bits: int = DEFAULT_BITS,
    *,
    verified_only: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> tuple[PublicKey, list[Share]]:
    """Make a fresh key in shares, and forget the whole of it.

    Args:
        threshold: How many shares open.
        shares: How many there are.
        bits: The bits of the modulus.
        verified_only: Whether it opens only what was verified.
        progress: Called now and then.

    Returns:
        The public key, and its shares in their order.

    Raises:
        HecliError: No key has such numbers.
    """
    key, values = engines.deal(bits, threshold, shares, progress)
    return PublicKey(key.n, key), [
        Share(key, at + 1, value, verified_only) for at, value in enumerate(values)
    ]
