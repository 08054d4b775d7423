"""Fixtures, and settings for the property tests."""

import os
import shutil
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

from hecli.__main__ import main
from hecli.arithmetic.choosing import VARIABLE
from hecli.ledger import chain
from hecli.storage import bucket as buckets
from hecli.storage.places import store_at
from tests import servers
from tests.support import KEYS

settings.register_profile(
    "hecli", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("hecli")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in list(os.environ):
        # Lines break where a terminal ends, and tests have none.
        if (name.startswith("HECLI_") and name != VARIABLE) or name == "COLUMNS":
            monkeypatch.delenv(name)
    # Of entries that were taken away nobody brings one.
    monkeypatch.setattr(chain, "PATIENCE", 0.3)


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """What speaks S3: moto, or with TEST_S3=ceph Ceph's RADOS gateway."""
    ceph = os.environ.get("TEST_S3") == "ceph"
    with servers.ceph(tmp_path_factory.mktemp("ceph")) if ceph else servers.moto() as address:
        yield address


@pytest.fixture(scope="session")
def azure_server():
    with servers.azurite() as address:
        yield address


@pytest.fixture
def clouds(monkeypatch):
    """No bucket or connection of another test, and no credentials but the test's."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    # Where there are none, the library asks the machine that it may run on.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store_at.cache_clear()


@pytest.fixture
def s3(s3_server, clouds, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    return f"s3://{servers.make_bucket(s3_server)}/folder"


@pytest.fixture
def azure(azure_server, clouds, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", servers.ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", servers.ACCOUNT_KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_server)
    return f"az://{servers.make_container(azure_server)}/folder"


@pytest.fixture
def sftp(tmp_path, clouds, monkeypatch):
    monkeypatch.setenv("PATH", servers.stand_in_for_ssh(tmp_path / "bin", servers.sftp_server()))
    (tmp_path / "there").mkdir()
    return f"sftp://somebody@host{tmp_path}/there"


@pytest.fixture
def proxy(s3_server, s3, monkeypatch):
    """A server before the bucket's own, that cuts what it is told to."""
    found = servers.Proxy(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", found.address)
    monkeypatch.setattr(buckets, "PAUSE", 0.01)
    monkeypatch.setattr(
        buckets, "RETRY", {"max_retries": 4, "backoff": {"init_backoff": timedelta(milliseconds=5)}}
    )
    yield found
    found.close()
