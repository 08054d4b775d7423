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
    from hecli.arithmetic.gmp.kernels import GmpKernels  # noqa: PLC0415 - only what is used is imported

    wish = os.environ.get(VARIABLE) or AUTO
    if wish == OFF:
        return GmpKernels()
    from hecli.arithmetic.native import library  # noqa: PLC0415

    runnable = library.runnable()
    if wish == AUTO:
        for variant in runnable:
            found = _right(variant)
            if found is not None:
                return found
        return GmpKernels()
    if wish not in library.VARIANTS:
        known = ", ".join((AUTO, OFF, *library.VARIANTS))
        raise HecliError(f"{VARIABLE} is {wish[:64]!r}, which is none of {known}")
    if wish not in runnable:
        built = library.path_of(wish).exists()
        why = (
            "this processor cannot run it"
            if built
            else "it was not built: install hecli where a C compiler is"
        )
        raise HecliError(f"{VARIABLE} is {wish}, which is not to be had here", why)
    found = _right(wish)
    if found is None:
        raise HecliError(
            f"the native arithmetic {wish} gives wrong results on this machine", f"set {VARIABLE}={OFF}"
        )
    return found


def _right(variant: str) -> "Kernels | None":
    """The kernels of a library if they compute what gmpy2 does."""
    from hecli.arithmetic.native.kernels import NativeKernels  # noqa: PLC0415
    from hecli.arithmetic.native.library import load  # noqa: PLC0415
    from hecli.arithmetic.trial import is_right  # noqa: PLC0415

    found = NativeKernels(variant, load(variant))
    return found if is_right(found) else None
