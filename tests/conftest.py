"""Fixtures, and settings for the property tests."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

from hecli.__main__ import main
from tests.support import KEYS

settings.register_profile(
    "hecli", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("hecli")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in list(os.environ):
        # Lines break where a terminal ends, and tests have none.
        if name.startswith("HECLI_") or name == "COLUMNS":
            monkeypatch.delenv(name)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory with the small test key as hecli.pub and hecli.key."""
    for suffix in (".pub", ".key"):
        shutil.copy(KEYS / f"small{suffix}", tmp_path / f"hecli{suffix}")
    (tmp_path / "hecli.key").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch, capfd):
    """Run a command line in this process; return its exit status, output and errors."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["hecli", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        output, errors = capfd.readouterr()
        assert "Traceback" not in errors
        return exit_.value.code, output, errors

    return call


@pytest.fixture
def ok(run):
    """Run a command line that must work; return what it said."""

    def call(*arguments):
        status, output, errors = run(*arguments)
        assert status == 0, errors
        return output + errors

    return call


@pytest.fixture
def fails(run):
    """Run a command line that must fail, and check what the user sees."""

    def call(*arguments, says, hint="", status=1):
        code, output, errors = run(*arguments)
        assert code == status, errors
        lines = [line for line in errors.splitlines() if not line.startswith("warning: ")]
        assert lines, "a failure says nothing"
        assert lines[0].startswith("error: "), errors
        assert not lines[0].endswith(".")
        assert says in lines[0], errors
        # Where there is nothing to advise, a test says so with hint=None.
        assert len(lines) == (1 if hint is None else 2), errors
        if hint is not None:
            assert lines[1].startswith("hint: "), errors
            assert hint in lines[1], errors
        return output

    return call
