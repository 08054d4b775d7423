"""Mistakes made in the C sources one by one, to see which the tests would not notice.

    python -m tests.native.mutants [EVERY]

Each mistake is a small one: a high half for a low one, a carry that is lost, a
bound that is one off, a step that is left out. It is compiled for each kind of
processor, and `agreement` is run on what comes out, until one of them is wrong; then
once more in plain C, under sanitizers.
What compiles to the same as without it is no mistake. With EVERY only one in so
many is made.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hecli.arithmetic.choosing import available
from tests.native.compiling import PORTABLE, SANITIZED, SOURCES, build, compiled, watched

FILES = ("kernels.c", "conversions.c", "vectors.h")
TIME = 60
FLAGS = [each.replace("-O3", "-O1") for each in build.FLAGS]
LOST = "-DLOST(x)=SAME(0)"

CHANGES = (
    (r"\bmadd52lo", "madd52hi"),
    (r"\bmadd52hi", "madd52lo"),
    (r"MAC\((\w+(?:\[\d\])?), (\w+(?:\[\d\])?),", r"MAC(\2, \1,"),
    (r"\bADD\(", "SUB("),
    (r"\bSUB\(", "ADD("),
    (r"\bAND\(", "OR("),
    (r"\bOR\(", "AND("),
    (r"\bXOR\(", "OR("),
    (r"\bCARRY\(", "LOST("),
    (r"\bhigh\b", "low"),
    (r" \+ 1\b", ""),
    (r" - 1\b", ""),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" < ", " <= "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r"\b0\b", "1"),
    (r"\b1\b", "2"),
    (r"\b2\b", "1"),
    (r"\b3\b", "2"),
    (r"\b4\b", "3"),
    (r"\b8\b", "7"),
    (r"\bDIGIT_BITS\b", "51"),
    (r"\bMASK\b", "(MASK >> 1)"),
    (r"^(\s+)(?:settle|subtract|clear|carry|reduce|multiply|spread|scatter|gather|memcpy)\(.*\);$", r"\1;"),
)


class Mutant(NamedTuple):
    """One mistake: where it is, and what the line becomes."""

    file: str
    number: int
    line: str


def mutants():
    """All mistakes, in the order of the sources."""
    for file in FILES:
        comment = False
        for number, line in enumerate((SOURCES / file).read_text().splitlines()):
            comment = comment or line.lstrip().startswith("/*")
            if not comment and not line.startswith("#"):
                for pattern, replacement in CHANGES:
                    for match in re.finditer(pattern, line):
                        changed = line[: match.start()] + match.expand(replacement) + line[match.end() :]
                        yield Mutant(file, number, changed)
            comment = comment and "*/" not in line


def caught(mutant, plain):
    """Say whether a mistake is noticed; None where it is none, for it compiles to the same, or not at all."""
    with TemporaryDirectory() as folder:
        sources = Path(folder, "native")
        shutil.copytree(SOURCES, sources)
        lines = (sources / mutant.file).read_text().splitlines()
        lines[mutant.number] = mutant.line
        (sources / mutant.file).write_text("\n".join(lines) + "\n")
        found = None
        for variant, digest in plain.items():
            try:
                built = compiled(Path(folder, "tried.so"), variant, LOST, sources=sources, flags=FLAGS)
            except subprocess.CalledProcessError:
                continue
            if hashlib.sha256(built.read_bytes()).digest() == digest:
                continue
            found = False
            if not agrees(built):
                return True
        if found is False and (environment := watched()):
            built = compiled(
                Path(folder, "tried.so"), PORTABLE, LOST, *SANITIZED, sources=sources, flags=FLAGS
            )
            return not agrees(built, environment)
        return found


def agrees(built, environment=None):
    """Whether the tests find nothing."""
    command = [sys.executable, "-m", "tests.native.agreement", str(built), "300", "521"]
    options = {"cwd": SOURCES.parent, "env": os.environ | (environment or {}), "timeout": TIME}
    try:
        done = subprocess.run(command, capture_output=True, check=False, **options)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main():
    """Make all mistakes, and say which share is caught."""
    variants = [PORTABLE, *available()[:-1]]
    with TemporaryDirectory() as folder:
        plain = {}
        for variant in variants:
            built = compiled(Path(folder, "plain.so"), variant, LOST, flags=FLAGS)
            assert agrees(built), variant
            plain[variant] = hashlib.sha256(built.read_bytes()).digest()
    chosen = list(mutants())[:: int(sys.argv[1]) if sys.argv[1:] else 1]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda each: caught(each, plain), chosen))
    for mutant, result in zip(chosen, results, strict=True):
        if result is False:
            print(f"{mutant.file}:{mutant.number + 1}: {mutant.line.strip()}")
    real = [each for each in results if each is not None]
    print(f"{sum(real)} of {len(real)} mistakes caught on {', '.join(variants)}")


if __name__ == "__main__":
    main()
