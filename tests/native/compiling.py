"""The kernels as tests compile them: in plain C, for sanitizers, for an emulated processor, with mistakes."""

import importlib.util
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "native"
_spec = importlib.util.spec_from_file_location("hecli_build", SOURCES / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

COMPILER = build.found_compiler()
PORTABLE = "portable"
VARIANTS = {**build.VARIANTS, PORTABLE: []}


def compiled(to, variant, *options, sources=SOURCES, flags=tuple(build.FLAGS)):
    """Compile a library; raises CalledProcessError where the compiler refuses."""
    files = [sources / name for name in ("kernels.c", "conversions.c")]
    command = [*COMPILER, *flags, *VARIANTS[variant], *files, *options, "-o", to]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return to
