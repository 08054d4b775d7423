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


SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def watched():
    """What a process needs in its environment to load what is sanitized; None where the compiler cannot.

    Python's own memory is malloc's then, so that what is behind a buffer is watched too.
    """
    found = subprocess.run(
        [*COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    asan = found.stdout.strip()
    options = {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    return {"LD_PRELOAD": asan, **options} if Path(asan).is_absolute() else None


def compiled(to, variant, *options, sources=SOURCES, flags=tuple(build.FLAGS)):
    """Compile a library; raises CalledProcessError where the compiler refuses."""
    files = [sources / name for name in ("kernels.c", "conversions.c")]
    command = [*COMPILER, *flags, *VARIANTS[variant], *files, *options, "-o", to]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return to
