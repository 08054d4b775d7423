"""Whole terminal sessions, as files: what a user types, and what comes back.

In tests/transcripts/ a line that begins with `$ ` is typed into a shell,
which has hecli and, for what hecli does not do, forge (tests/forge.py);
what stands below it is what both streams showed. Fingerprints, digests,
and seconds, which differ from run to run, are written as <...>. After a
change to what commands say, TRANSCRIPTS=update rewrites the files; read the
difference before committing it.
"""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.support import HERE

SESSIONS = sorted((HERE / "transcripts").glob("*.txt"))
assert SESSIONS, "no transcripts were found"

CHANGING = (
    (r"\b[0-9a-f]{4}(-[0-9a-f]{4}){9}\b", "<fingerprint>"),
    # Shortened, as far as its column has room.
    (r"\b[0-9a-f]{4}-[0-9a-f-]*\.\.[0-9a-f-]*[0-9a-f]{3}\b", "<fingerprint>"),
    (r"\b[0-9a-f]{10,64}\b", "<digest>"),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\dZ)?", "<time>"),
    (r"(encrypt|files|decrypt) [\d.e+-]+ s(?=, |$)", r"\1 <seconds>"),
    (r'"seconds": [\d.]+', '"seconds": <seconds>'),
    (r"(less than 0\.1|\b\d+(\.\d)?) s\b(?=,|$)", "<seconds>"),
)


def normal(text):
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_session(path, tmp_path):
    for name, value in (("a", 0.5), ("b", 0.25), ("c", -1.0)):
        layers = {"bias": np.full(3, value, np.float32), "weight": np.full((4, 3), value / 2, np.float32)}
        np.savez(tmp_path / f"{name}.npz", **layers)
    matrix = np.outer(np.arange(-20, 20), np.arange(-30, 30)).astype(np.float32) / 600
    np.savez(tmp_path / "large.npz", bias=np.full(60, 0.5, np.float32), weight=matrix)
    np.savez(tmp_path / "model.npz", bias=np.zeros(3, np.float32), weight=np.ones((4, 3), np.float32))
    np.savez(tmp_path / "nan.npz", bias=np.full(3, np.nan, np.float32), weight=np.ones((4, 3), np.float32))
    np.savez(tmp_path / "wide.npz", bias=np.full(4, 1, np.float32), weight=np.ones((4, 3), np.float32))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HECLI_")}
    environment |= {"COLUMNS": "80", "PATH": f"{tmp_path}/bin:{environment['PATH']}"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hecli").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hecli "$@"\n')
    (tmp_path / "bin" / "forge").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE}/forge.py" "$@"\n')
    for tool in (tmp_path / "bin").iterdir():
        tool.chmod(0o755)
    expected = path.read_text()
    shown = ""
    for typed in re.findall(r"^\$ (.*)$", expected, re.MULTILINE):
        result = subprocess.run(
            ["bash", "-c", typed],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said = result.stdout.decode()
        assert "Traceback" not in said
        # All of it fits the terminal, but for what the shell itself repeats.
        assert max(map(len, said.splitlines()), default=0) <= 80, said
        status = f"[{result.returncode}]\n" if result.returncode else ""
        shown += f"$ {typed}\n{normal(said)}{status}"
    if os.environ.get("TRANSCRIPTS") == "update":
        path.write_text(shown)
    assert shown == expected
