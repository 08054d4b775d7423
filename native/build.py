"""Compile the native arithmetic into the package; go without where there is no C compiler."""

import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ["-std=gnu11", "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-s"]

ROUNDING = ["-frounding-math", "-ffp-contract=off"]
"""The kernels choose how the processor rounds: a compiler may not compute beforehand, nor fuse by itself."""

VARIANTS = {
    "ifma512": ["-mavx512f", "-mavx512ifma", "-DVARIANT_IFMA512"],
    "fma512": ["-mavx512f", *ROUNDING, "-DVARIANT_FMA512"],
    "fma256": ["-mavx2", "-mfma", *ROUNDING, "-DVARIANT_FMA256"],
}

PACKAGE = "hecli/arithmetic/native"

PROCESSORS = ("x86_64", "AMD64")


class NativeHook(BuildHookInterface):
    """What hatchling calls before it builds a wheel, or installs in place."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; say so in the wheel if anything came of it.

        Args:
            version: Which kind of build it is.
            build_data: What goes into the wheel.
        """
        sources = Path(self.root, "native")
        if version == "editable":
            target = Path(self.root, PACKAGE)
            for old in target.glob("_*.so"):
                old.unlink()
        else:
            # Not where an installation in place finds its own.
            target = self._folder = Path(tempfile.mkdtemp())
        compiler = found_compiler() if platform.machine() in PROCESSORS and os.name == "posix" else None
        if compiler is None:
            return
        kernels = [str(sources / "kernels.c"), str(sources / "conversions.c")]
        wanted = {"processor": [str(sources / "processor.c")]}
        wanted |= {name: [*flags, *kernels] for name, flags in VARIANTS.items()}
        built = [name for name, rest in wanted.items() if compiled(compiler, rest, target / f"_{name}.so")]
        if "processor" in built and len(built) > 1:
            platform_tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag}"
            build_data["force_include"] |= {
                str(target / f"_{name}.so"): f"{PACKAGE}/_{name}.so" for name in built
            }

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up.

        Args:
            version: Which kind of build it was.
            build_data: What went into the wheel.
            artifact_path: The wheel.
        """
        del version, build_data, artifact_path
        if self._folder is not None:
            shutil.rmtree(self._folder)


def found_compiler() -> list[str] | None:
    """Find a C compiler.

    Returns:
        The command that CC names, or that the system has; None where there is none.
    """
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def compiled(compiler: list[str], arguments: list[str], to: Path) -> bool:
    """Compile a library.

    Args:
        compiler: The compiler.
        arguments: What is special about this library.
        to: Its file.

    Returns:
        Whether it was made.
    """
    try:
        done = subprocess.run(
            [*compiler, *FLAGS, *arguments, "-o", str(to)], capture_output=True, check=False
        )
    except OSError:
        return False
    if done.returncode:
        to.unlink(missing_ok=True)
    return done.returncode == 0
