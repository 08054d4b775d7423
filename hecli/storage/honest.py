"""A trial of whether a place gives a name to one of many: without that it holds no ledger."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hecli.errors import RefusedError

AT_ONCE = 4
"""How many claim one name at the same time."""


def check_claims(where: str, claim: Callable[[bytes], bool]) -> None:
    """Refuse a place in which more than one gets a name, at once or one after the other.

    Args:
        where: The place, for errors.
        claim: Claims one and the same name, with what is to stand there.

    Raises:
        RefusedError: More than one of them gets it.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        won = list(threads.map(claim, (b"trial %d" % at for at in range(AT_ONCE))))
    if won.count(True) != 1 or claim(b"one more"):
        raise RefusedError(
            f"{where} lets new files replace old ones: a ledger in it could lose entries",
            "its server does not keep what it is asked for; docs/storage.md names some that do",
        )
