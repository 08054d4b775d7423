"""Which kernels compute: the fastest that were built, that the processor can run, and that are right."""

import functools
import os
from typing import TYPE_CHECKING

from hecli.errors import HecliError

if TYPE_CHECKING:
    from hecli.arithmetic.kernels import Kernels

VARIABLE = "HECLI_NATIVE"
AUTO, OFF = "auto", "off"


@functools.lru_cache(maxsize=1)
def kernels() -> "Kernels":
    """Choose what computes, once for a process.

    Returns:
        The kernels that HECLI_NATIVE names: `off` for those of gmpy2, `auto`, as
        where it is not set, for the fastest that this machine has.

    Raises:
        HecliError: It names something else, or what this machine does not have.
    """
    wish = os.environ.get(VARIABLE) or AUTO
    if wish != AUTO:
        return named(wish)
    right = (_right(each) for each in available() if each != OFF)
    return next((found for found in right if found is not None), None) or named(OFF)


def available() -> tuple[str, ...]:
    """Say what this machine has.

    Returns:
        What HECLI_NATIVE may name here, the fastest first, `off` last.
    """
    from hecli.arithmetic.native.library import runnable  # noqa: PLC0415 - only what is used is imported

    return *runnable(), OFF


def named(wish: str) -> "Kernels":
    """Give certain kernels.

    Args:
        wish: What HECLI_NATIVE may name, but for `auto`.

    Returns:
        The kernels.

    Raises:
        HecliError: There are none of that name, or this machine does not have them.
    """
    if wish == OFF:
        from hecli.arithmetic.gmp.kernels import GmpKernels  # noqa: PLC0415

        return GmpKernels()
    from hecli.arithmetic.native import library  # noqa: PLC0415

    if wish not in library.VARIANTS:
        known = ", ".join((AUTO, OFF, *library.VARIANTS))
        raise HecliError(f"{VARIABLE} is {wish[:64]!r}, which is no arithmetic", f"it may be {known}")
    if wish not in library.runnable():
        built = library.path_of(wish).exists()
        why = "this processor cannot run it" if built else "install hecli where there is a C compiler"
        raise HecliError(f"{VARIABLE} is {wish}, which is not to be had here", why)
    found = _right(wish)
    if found is None:
        raise HecliError(
            f"the native arithmetic {wish} cannot be loaded here, or gives wrong results",
            f"set {VARIABLE}={OFF}, and install hecli again",
        )
    return found


def _right(variant: str) -> "Kernels | None":
    """The kernels of a library if it can be loaded and computes what gmpy2 does."""
    from hecli.arithmetic.native.kernels import NativeKernels  # noqa: PLC0415
    from hecli.arithmetic.native.library import Library, path_of  # noqa: PLC0415
    from hecli.arithmetic.trial import is_right  # noqa: PLC0415

    try:
        found = NativeKernels(variant, Library(path_of(variant)))
        return found if is_right(found) else None
    except (OSError, AttributeError):
        # No library, or one of another version.
        return None
