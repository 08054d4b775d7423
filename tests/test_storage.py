"""Every place for files keeps the promises of the Store, on real servers, whatever goes wrong."""

import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hecli.errors import HecliError, RefusedError
from hecli.storage import bucket as buckets
from hecli.storage import uploading
from hecli.storage.local import LOCAL
from hecli.storage.paths import file_name, folder_of, joined, named, with_suffix
from hecli.storage.patterns import match, walk
from hecli.storage.places import ANYWHERE, STORES, store_at
from hecli.storage.ranges import FRONT
from tests import servers

DATA = secrets.token_bytes(300_000)


@pytest.fixture
def local(tmp_path):
    (tmp_path / "here").mkdir()
    return str(tmp_path / "here")


@pytest.fixture(params=["local", "s3", "azure", "sftp"])
def root(request):
    return request.getfixturevalue(request.param)


def write(path, data, **options):
    with ANYWHERE.create(path, **options) as stream:
        stream.write(data)


def read(path):
    with ANYWHERE.open(path) as stream:
        return stream.read()


def test_what_is_written_is_read(root):
    path = joined(root, "a.enc")
    assert not ANYWHERE.exists(path)
    write(path, DATA)
    assert read(path) == DATA
    assert ANYWHERE.exists(path)
    assert ANYWHERE.list(root) == ["a.enc"]


@pytest.mark.parametrize("many", [False, True])
def test_any_part_is_read_whole(root, many):
    path = joined(root, "a.enc")
    write(path, DATA)
    with ANYWHERE.open(path, many=many) as stream:
        assert stream.seek(0, 2) == len(DATA)
        assert stream.read(5) == b""
        for at, size in ((0, 10), (100, FRONT), (299_990, 50), (150_000, 100_000), (3, 0), (250_000, 50_000)):
            stream.seek(at)
            assert stream.read(size) == DATA[at : at + size]
        assert stream.tell() == 300_000
        stream.seek(-7, 2)
        assert stream.read() == DATA[-7:]
        stream.flush()
        stream.seek(1)
        assert stream.read(9) == DATA[1:10]


def test_an_empty_file_is_a_file(root):
    path = joined(root, "empty")
    write(path, b"")
    assert read(path) == b""
    assert ANYWHERE.exists(path)


def test_nothing_is_written_over_another(root):
    path = joined(root, "a.enc")
    write(path, b"first")
    with pytest.raises(RefusedError, match="exists"):
        write(path, b"second")
    assert read(path) == b"first"
    write(path, b"third", replace=True)
    assert read(path) == b"third"


def test_what_appears_meanwhile_is_not_written_over(root):
    path = joined(root, "a.enc")
    with pytest.raises(RefusedError, match="exists"), ANYWHERE.create(path) as stream:
        stream.write(b"second")
        write(path, b"first")
    assert read(path) == b"first"
    assert ANYWHERE.list(root) == ["a.enc"]


def test_after_a_failure_nothing_is_left(root):
    path = joined(root, "a.enc")
    with pytest.raises(ZeroDivisionError), ANYWHERE.create(path) as stream:
        stream.write(DATA)
        1 / 0  # noqa: B018
    assert not ANYWHERE.exists(path)
    assert ANYWHERE.listing(root).files == []


def test_one_of_many_claims_a_file(root):
    path = joined(root, "ledger/00000001.entry")
    wins, barrier = [], threading.Barrier(8)
    ANYWHERE.claim(joined(root, "ledger/00000000.entry"), b"so that the store is probed before the race")

    def claim(number):
        data = b"%d" % number * 50
        barrier.wait()
        if ANYWHERE.claim(path, data):
            wins.append(data)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(claim, range(8)))
    assert len(wins) == 1
    assert read(path) == wins[0]
    assert sorted(ANYWHERE.listing(joined(root, "ledger")).files) == ["00000000.entry", "00000001.entry"]


def test_files_are_found_by_patterns(root):
    for name in (
        "north/a.enc",
        "north/b.enc",
        "south/c.enc",
        "south/deep/d.enc",
        "e.enc",
        ".hidden.enc",
        "x[1].enc",
    ):
        if not root.startswith(("s3:", "az:", "sftp:")):
            Path(joined(root, name)).parent.mkdir(parents=True, exist_ok=True)
        if "/deep/" in name and root.startswith("sftp:"):
            continue
        write(joined(root, name), b"1")
    assert match(ANYWHERE, joined(root, "*.enc")) == [joined(root, "e.enc"), joined(root, "x[1].enc")]
    assert match(ANYWHERE, joined(root, "*/[ab].enc")) == [joined(root, f"north/{each}.enc") for each in "ab"]
    assert match(ANYWHERE, joined(root, "s*h/?.enc")) == [joined(root, "south/c.enc")]
    assert match(ANYWHERE, joined(root, "*.agg")) == []
    found = list(walk(ANYWHERE, root, joined(root, "north")))
    assert [each for each in found if "deep" not in each] == ["e.enc", "x[1].enc", "south/c.enc"]
    assert ANYWHERE.list(joined(root, "nowhere")) == []


def test_what_is_removed_is_gone(root):
    path = joined(root, "a.enc")
    write(path, b"1")
    ANYWHERE.remove(path)
    ANYWHERE.remove(path)
    assert not ANYWHERE.exists(path)
    with pytest.raises(HecliError, match=r"a\.enc.*no such file"):
        read(path)


def test_a_file_that_is_exchanged_while_it_is_read_is_refused(root):
    path = joined(root, "a.enc")
    write(path, DATA)
    with ANYWHERE.open(path, many=True) as stream:
        stream.read(10)
        # The time of a file is all that some servers say of it, in seconds.
        if root.startswith("sftp:"):
            os.utime(root.partition("host")[2] + "/a.enc", (1, 1))
        else:
            write(path, DATA[::-1], replace=True)
        stream.seek(250_000)
        with pytest.raises(HecliError, match="changed while it was read"):
            stream.read(10)


# What goes wrong on the way.


def cut_once(when, method, word=""):
    """Cut the first request of a kind."""
    left = [True]

    def cuts(_number, found, path):
        if found == method and word in path and left:
            left.clear()
            return when
        return None

    return cuts


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_a_request_that_is_cut_loses_and_doubles_nothing(proxy, s3, when):
    """Each request of these, one after the other, is cut once: before it took effect, and after."""

    def all_of_it(folder):
        path = joined(folder, "a.enc")
        write(path, DATA)
        assert read(path) == DATA
        with pytest.raises(RefusedError, match="exists"):
            write(path, b"other")
        assert ANYWHERE.claim(joined(folder, "00000001.entry"), b"one")
        assert not ANYWHERE.claim(joined(folder, "00000001.entry"), b"two")
        assert read(joined(folder, "00000001.entry")) == b"one"
        assert ANYWHERE.list(folder) == ["00000001.entry", "a.enc"]
        ANYWHERE.remove(path)
        assert not ANYWHERE.exists(path)

    all_of_it(joined(s3, "whole"))
    count = len(proxy.requests)
    assert count > 10
    for cut in range(count):
        del proxy.requests[:]
        store_at.cache_clear()
        proxy.cuts = lambda number, _method, _path, cut=cut: when if number == cut else None
        all_of_it(joined(s3, f"{when}-{cut}"))


def test_a_store_that_answers_nothing_is_named(monkeypatch, s3):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(buckets, "RETRY", {"max_retries": 1})
    monkeypatch.setattr(buckets, "TRIES", 1)
    for use in (read, lambda path: write(path, b"1"), ANYWHERE.list):
        with pytest.raises(HecliError, match=r"s3://.*the storage does not answer") as failed:
            use(f"{s3}/a.enc")
        assert servers.SECRET not in f"{failed.value.message}{failed.value.hint}"


def test_a_large_file_is_sent_in_pieces(monkeypatch, proxy, s3):
    monkeypatch.setattr(uploading, "SINGLE", 1 << 20)
    monkeypatch.setattr(uploading, "PIECE", 5 << 20)
    data = secrets.token_bytes(12 << 20)
    write(joined(s3, "large"), data)
    assert read(joined(s3, "large")) == data
    assert sum("partNumber" in path for _, path in proxy.requests) == 3
    with pytest.raises(ZeroDivisionError), ANYWHERE.create(joined(s3, "half")) as stream:
        stream.write(data)
        1 / 0  # noqa: B018
    assert not ANYWHERE.exists(joined(s3, "half"))
    assert proxy.requests[-1][0] == "HEAD"
    assert any(method == "DELETE" and "uploadId" in path for method, path in proxy.requests)


def test_a_large_file_is_not_put_over_one_that_came_meanwhile(monkeypatch, s3):
    monkeypatch.setattr(uploading, "SINGLE", 1 << 20)
    monkeypatch.setattr(uploading, "PIECE", 5 << 20)
    path = joined(s3, "large")
    with pytest.raises(RefusedError, match="exists"), ANYWHERE.create(path) as stream:
        stream.write(bytes(6 << 20))
        ANYWHERE.claim(path, b"first")
        stream.write(bytes(6 << 20))
    assert read(path) == b"first"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("request_", [("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId")])
def test_a_large_file_survives_a_cut(monkeypatch, proxy, s3, when, request_):
    monkeypatch.setattr(uploading, "SINGLE", 1 << 20)
    monkeypatch.setattr(uploading, "PIECE", 5 << 20)
    data = secrets.token_bytes(11 << 20)
    proxy.cuts = cut_once(when, *request_)
    write(joined(s3, "large"), data)
    assert read(joined(s3, "large")) == data
    assert ANYWHERE.list(s3) == ["large"]


def test_a_store_that_ignores_conditions_holds_no_ledger(proxy, s3):
    def alters(_number, _method, _path, headers):
        for name in list(headers):
            if name.lower() == "if-none-match":
                del headers[name]

    proxy.alters = alters
    with pytest.raises(RefusedError, match="lets new files replace old ones"):
        ANYWHERE.claim(joined(s3, "00000001.entry"), b"1")
    assert ANYWHERE.listing(s3).files == []


def test_few_requests_open_a_file(proxy, s3):
    """The first range tells the size; the trailer is the second."""
    write(joined(s3, "a.enc"), secrets.token_bytes(3 << 20))
    for many in (False, True):
        del proxy.requests[:]
        with ANYWHERE.open(joined(s3, "a.enc"), many=many) as stream:
            stream.read(512)
            stream.seek(0, 2)
            stream.seek(0)
            stream.read(5000)
            stream.seek((3 << 20) - 3000)
            stream.read(40)
            stream.read(2960)
        assert len(proxy.requests) == 2


def test_what_is_read_in_order_takes_few_requests(proxy, s3):
    write(joined(s3, "a.enc"), secrets.token_bytes(20 << 20))
    del proxy.requests[:]
    with ANYWHERE.open(joined(s3, "a.enc")) as stream:
        while stream.read(1 << 16):
            pass
    assert len(proxy.requests) <= 10


def test_what_people_call_files_is_not_taken_for_an_answer(monkeypatch, proxy, s3):
    """A name may hold the words or numbers that a server says."""
    for name in ("00000501.entry", "credential.enc", "NoSuchBucket", "InvalidRange", "Missing Account"):
        proxy.cuts = cut_once("before", "PUT", name.partition(" ")[0])
        assert ANYWHERE.claim(joined(s3, name), b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store_at.cache_clear()
    monkeypatch.setattr(buckets, "RETRY", {"max_retries": 0})
    for name in ("00000501.entry", "credential.enc"):
        with pytest.raises(HecliError, match="the storage does not answer"):
            read(joined(s3, name))


def test_names_that_no_file_can_have(s3, s3_server):
    for name in ("a//b", "a/../b", "a/./b"):
        with pytest.raises(HecliError, match=r"no name that a bucket's file can have|cannot be used"):
            read(f"{s3}/{name}")
    bucket = s3.split("/")[2]
    servers.put(s3_server, bucket, "folder/", b"")
    write(joined(s3, "a.enc"), b"1")
    assert ANYWHERE.list(s3) == ["a.enc"]
    servers.put(s3_server, bucket, "folder/x//y", b"1")
    with pytest.raises(HecliError, match=r"cannot be used|no name") as failed:
        ANYWHERE.list(joined(s3, "x"))
    assert "//" in failed.value.hint


def test_a_large_file_goes_where_nobody_may_look(monkeypatch, s3, s3_server):
    monkeypatch.setattr(uploading, "SINGLE", 1 << 20)
    monkeypatch.setattr(uploading, "PIECE", 5 << 20)
    denying = servers.Denying({"HEAD"}, s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", denying.address)
    store_at.cache_clear()
    try:
        write(joined(s3, "large"), bytes(11 << 20))
    finally:
        denying.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    store_at.cache_clear()
    assert read(joined(s3, "large")) == bytes(11 << 20)


def test_folders_in_folders_have_an_end(tmp_path):
    deep = tmp_path
    for _ in range(80):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(HecliError, match="more than 64 folders deep"):
        list(walk(ANYWHERE, str(tmp_path)))


# What people type.


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://key:hidden@bucket/a.enc", "holds a password"),
        ("sftp://anna:hidden@host/a.enc", "holds a password"),
        ("https://anna:hidden@host/a.enc", "holds a password"),
        ("https://hidden@host/a.enc", "holds a password"),
        ("sftp://anna:hid/hidden@host/a.enc", "holds a password"),
        ("s3://AKIA:hidden/K7@bucket/a.enc", "holds a password"),
        ("az://container/a.enc?se=1&sig=hidden", "holds a signature"),
        ("s3://bucket/a.enc?X-Amz-Signature=hidden", "holds a signature"),
        ("http://host/a.enc", "does not know http://"),
        ("ftp://host/a.enc", "does not know ftp://"),
        ("s3:///a.enc", "names no file"),
        ("s3:/bucket/a.enc", "neither a file nor a URL"),
        ("s3:bucket/a.enc", "neither a file nor a URL"),
        ("s3://bucket//a.enc", "no name that a bucket's file can have"),
        ("s3://bucket", "names no file"),
        ("s3://bucket/folder/", "names no file"),
        ("sftp://host:port/a.enc", "names no host"),
        ("sftp://-oProxyCommand=x/a.enc", "names no host"),
    ],
)
def test_wrong_urls_are_refused(url, message):
    with pytest.raises(HecliError, match=message) as failed:
        read(url)
    assert "hidden" not in f"{failed.value.message}{failed.value.hint}"


def test_an_endpoint_is_an_address(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:5971")
    with pytest.raises(HecliError, match=r"AWS_ENDPOINT_URL is '127\.0\.0\.1:5971', which is no address"):
        read(joined(s3, "a.enc"))


def test_patterns_are_for_paths(s3):
    with pytest.raises(HecliError, match="a pattern is for the path behind a bucket"):
        match(ANYWHERE, "s3://buck*/a.enc")


def test_a_bucket_that_is_not_there_is_named(s3):
    with pytest.raises(HecliError, match="there is no bucket s3://no-such-bucket"):
        read("s3://no-such-bucket/a.enc")
    with pytest.raises(HecliError, match="there is no bucket s3://no-such-bucket"):
        write("s3://no-such-bucket/a.enc", b"1")
    with pytest.raises(HecliError, match="there is no bucket s3://no-such-bucket"):
        ANYWHERE.list("s3://no-such-bucket")


def test_what_is_denied_is_said(monkeypatch, proxy, s3, s3_server):
    """Whoever may add files and not look for them can still send one."""
    write(joined(s3, "a.enc"), b"1")
    denying = servers.Denying({"GET", "HEAD"}, s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", denying.address)
    store_at.cache_clear()
    try:
        with pytest.raises(HecliError, match="denies it to these credentials"):
            read(joined(s3, "a.enc"))
        write(joined(s3, "b.enc"), b"1")
        with pytest.raises(HecliError, match=r"denies it|exists"):
            write(joined(s3, "a.enc"), b"2")
    finally:
        denying.close()


def test_missing_credentials_are_said(monkeypatch, s3):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setattr(buckets, "RETRY", {"max_retries": 0})
    with pytest.raises(HecliError, match="there are no credentials") as failed:
        read(joined(s3, "a.enc"))
    assert "AWS_ACCESS_KEY_ID" in failed.value.hint


def test_a_profile_gives_credentials(monkeypatch, tmp_path, s3):
    pytest.importorskip("boto3", reason="boto3 is not installed")
    write(joined(s3, "a.enc"), b"1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    store_at.cache_clear()
    assert read(joined(s3, "a.enc")) == b"1"
    monkeypatch.setenv("AWS_PROFILE", "none")
    store_at.cache_clear()
    with pytest.raises(HecliError, match="no such profile"):
        read(joined(s3, "a.enc"))


def test_a_secret_goes_nowhere_else(root):
    if root.startswith(("s3:", "az:", "sftp:")):
        with pytest.raises(RefusedError, match="a secret is not written to"):
            write(joined(root, "a.int"), b"1", secret=True)


def test_names_of_urls():
    url = "https://anna:pw@host/a/b.plan?X-Amz-Signature=1#x"
    assert named(url) == "https://...@host/a/b.plan"
    assert named("https://host?sig=hidden") == "https://host"
    assert named("s3://AKIA:wJalr/K7@bucket/x") == "s3://...@bucket/x"
    assert named("az://container/x?se=1&sig=hidden") == "az://container/x"
    assert named("s3://bucket/what?.enc") == "s3://bucket/what?.enc"
    assert file_name(url) == "b.plan"
    assert folder_of("s3://bucket/a/b.plan") == "s3://bucket/a"
    assert with_suffix("s3://bucket/a/b.plan", ".basis") == "s3://bucket/a/b.basis"
    assert joined("s3://bucket", "b") == "s3://bucket/b"
    assert joined("a", "b") == str(Path("a", "b"))


def test_local_paths_stay_as_they_are(tmp_path):
    """What looks like no URL is a file, whatever is in its name."""
    path = str(tmp_path / "s3:x")
    write(path, b"1")
    assert LOCAL.exists(path)


# SFTP.


def test_a_connection_that_is_lost_is_made_again(sftp, tmp_path):
    write(joined(sftp, "a.enc"), DATA)
    with ANYWHERE.open(joined(sftp, "a.enc"), many=True) as stream:
        stream.read(10)
        for client in store_at(STORES["sftp"])._clients.values():
            client._process.kill()
        stream.seek(200_000)
        assert stream.read(10) == DATA[200_000:200_010]
    for client in store_at(STORES["sftp"])._clients.values():
        client._process.kill()
    assert ANYWHERE.claim(joined(sftp, "00000001.entry"), b"one")
    calls = (tmp_path / "bin" / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert calls[0].endswith("-l somebody -s -- host sftp")


def test_a_host_that_is_not_reached_is_named(sftp):
    with pytest.raises(HecliError, match=r"ssh does not get to nowhere \(exit status 255\)"):
        read("sftp://nowhere/a.enc")


def test_a_connection_lost_while_writing_leaves_nothing(sftp, tmp_path):
    with (
        pytest.raises(HecliError, match="the connection was lost"),
        ANYWHERE.create(joined(sftp, "a.enc")) as stream,
    ):
        stream.write(bytes(3 << 20))
        for client in store_at(STORES["sftp"])._clients.values():
            client._process.kill()
        stream.write(bytes(3 << 20))
    assert list((tmp_path / "there").iterdir()) == []


def test_a_server_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", servers.stand_in_for_ssh(tmp_path / "bin", "echo Welcome to the lab"))
    with pytest.raises(HecliError, match="does not answer as an SFTP server"):
        read("sftp://host/a.enc")


def test_the_users_own_folder_is_meant(sftp, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write("sftp://host/~/mine.enc", b"1")
    assert (tmp_path / "mine.enc").read_bytes() == b"1"


def test_a_folder_that_may_not_be_written_to(sftp, tmp_path):
    write(joined(sftp, "sub/a.enc"), b"1")
    with pytest.raises(HecliError, match="it is a folder"):
        write(joined(sftp, "sub"), b"1")
    with pytest.raises(HecliError, match="no such file or folder"):
        write(joined(sftp, "none/none/a.enc"), b"1")


def test_many_who_read_and_write_at_once_do_not_wait_for_each_other(sftp):
    """A server may take no more before its answer is taken."""
    write(joined(sftp, "a.enc"), bytes(4 << 20))

    def use(at):
        if at % 2:
            write(joined(sftp, f"{at}.enc"), bytes(4 << 20))
        return read(joined(sftp, "a.enc")) == bytes(4 << 20)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(16), timeout=60))


def test_one_connection_for_all(sftp, tmp_path):
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda at: ANYWHERE.exists(joined(sftp, str(at))), range(16)))
    assert len((tmp_path / "bin" / "calls").read_text().splitlines()) == 1


def test_a_file_is_replaced_or_stays(tmp_path, monkeypatch, clouds):
    """Also where the server can neither replace nor, then, rename."""
    for denied, left in (("posix-rename", b"second"), ("posix-rename,rename", b"first")):
        folder = tmp_path / denied
        folder.mkdir()
        server = f"{servers.sftp_server()} -P {denied}"
        monkeypatch.setenv("PATH", servers.stand_in_for_ssh(tmp_path / f"bin-{denied}", server))
        store_at.cache_clear()
        (folder / "a.enc").write_bytes(b"first")
        url = f"sftp://host{folder}/a.enc"
        if left == b"first":
            with pytest.raises(HecliError):
                write(url, b"second", replace=True)
        else:
            write(url, b"second", replace=True)
        assert (folder / "a.enc").read_bytes() == left
        assert [each.name for each in folder.iterdir()] == ["a.enc"]


def test_no_link_leads_out_of_a_shared_folder(sftp, tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (private / "model.enc").write_bytes(b"1")
    (tmp_path / "there" / "round-0001").symlink_to(private)
    (tmp_path / "there" / "key.pub").symlink_to(private / "model.enc")
    shared = ANYWHERE.confined(sftp)
    for use in (
        lambda: shared.list("round-0001"),
        lambda: shared.remove("round-0001/model.enc"),
        lambda: shared.create("round-0001/new.enc").__enter__(),
        lambda: shared.open("key.pub").__enter__(),
        lambda: shared.exists("round-0001/model.enc"),
    ):
        with pytest.raises(HecliError, match="is a link"):
            use()
    assert [each.name for each in private.iterdir()] == ["model.enc"]


@pytest.mark.parametrize("mode", ["empty", "ok", "huge", "names", "numbers", "short"])
def test_a_hostile_server_is_given_up(tmp_path, monkeypatch, clouds, mode):
    monkeypatch.setattr("hecli.storage.sftp_client.MOST_NAMES", 1000)
    monkeypatch.setattr("hecli.storage.sftp.PAUSE", 0.01)
    script = Path(servers.__file__).with_name("hostile_sftp.py")
    words = f"{sys.executable} {script} {mode}"
    monkeypatch.setenv("PATH", servers.stand_in_for_ssh(tmp_path / "bin", words))
    for use in (lambda: read("sftp://host/a.enc"), lambda: ANYWHERE.list("sftp://host/folder")):
        with pytest.raises(HecliError, match=r"the connection was lost|gave another range"):
            use()


def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch, clouds):
    monkeypatch.setattr("hecli.storage.sftp_client.PATIENCE", 0.3)
    monkeypatch.setattr("hecli.storage.sftp.PAUSE", 0.01)
    script = Path(servers.__file__).with_name("hostile_sftp.py")
    monkeypatch.setenv(
        "PATH", servers.stand_in_for_ssh(tmp_path / "bin", f"{sys.executable} {script} silent")
    )
    with pytest.raises(HecliError, match="the connection was lost"):
        ANYWHERE.exists("sftp://host/a.enc")


# Web servers. The test's own leaves connections open that are cut under it.

leaving = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=[True, False], ids=["ranges", "whole"])
def web(request, tmp_path, monkeypatch):
    cert, private = servers.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    folder = tmp_path / "www"
    folder.mkdir()
    found = servers.Web(folder, cert, private, ranges=request.param)
    monkeypatch.setattr("hecli.storage.web.PAUSE", 0.01)
    yield found
    found.close()


@leaving
def test_a_web_server_is_read(web):
    (web.folder / "a.enc").write_bytes(DATA)
    (web.folder / "empty").write_bytes(b"")
    url = f"{web.url}/a.enc?signature=hidden"
    with ANYWHERE.open(url) as stream:
        assert stream.name == f"{web.url}/a.enc"
        stream.seek(250_000)
        assert stream.read(10) == DATA[250_000:250_010]
        stream.seek(0)
        assert stream.read() == DATA
    assert read(f"{web.url}/empty") == b""
    assert ANYWHERE.exists(url)
    assert not ANYWHERE.exists(f"{web.url}/b.enc")
    with pytest.raises(HecliError, match=r"b\.enc: no such file") as failed:
        read(f"{web.url}/b.enc?signature=hidden")
    assert "hidden" not in failed.value.message


@leaving
@pytest.mark.parametrize("fails", ["cut", 503, 429])
def test_a_web_server_is_asked_again(web, fails):
    (web.folder / "a.enc").write_bytes(DATA)
    for at in range(4):
        web.failing = [*[None] * at, fails]
        assert read(f"{web.url}/a.enc") == DATA


@leaving
def test_a_web_server_that_goes_on_failing_is_named(web):
    (web.folder / "a.enc").write_bytes(DATA)
    web.failing = ["cut"] * 9
    with pytest.raises(HecliError, match="does not answer"):
        read(f"{web.url}/a.enc")
    web.failing = [503] * 9
    with pytest.raises(HecliError, match="status 503"):
        read(f"{web.url}/a.enc")
    web.failing = [403]
    with pytest.raises(HecliError, match="denies it"):
        read(f"{web.url}/a.enc")
    web.failing = [302]
    with pytest.raises(HecliError, match="not https"):
        read(f"{web.url}/a.enc")


@leaving
def test_a_web_server_is_only_read(web):
    for use in (
        lambda: write(f"{web.url}/a", b"1"),
        lambda: ANYWHERE.claim(f"{web.url}/a", b"1"),
        lambda: ANYWHERE.remove(f"{web.url}/a"),
        lambda: ANYWHERE.list(web.url),
        lambda: match(ANYWHERE, f"{web.url}/*.enc"),
    ):
        with pytest.raises(RefusedError, match=r"only read|do not say what they have"):
            use()


@leaving
def test_a_web_server_nobody_vouches_for_is_not_read(web, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr("hecli.storage.web.TRIES", 1)
    with pytest.raises(HecliError, match="a certificate that is trusted here"):
        read(f"{web.url}/a.enc")


@leaving
@pytest.mark.parametrize("fails", ["length", "endless", "more", "nowhere"])
def test_a_hostile_web_server_is_refused(web, fails):
    (web.folder / "a.enc").write_bytes(DATA)
    web.failing = [fails] * 20
    with pytest.raises(
        HecliError, match=r"makes no sense|does not answer|does not say how large|another range"
    ):
        read(f"{web.url}/a.enc")


@leaving
def test_addresses_of_any_letters(web):
    (web.folder / "%C3%A9.plan").write_bytes(b"1")
    assert read(f"{web.url}/é.plan") == b"1"
    with pytest.raises(HecliError, match="makes no sense"):
        read("https://[::1/a.plan")


@leaving
@pytest.mark.parametrize("web", [True], indirect=True)
def test_no_signed_address_is_shown(web, place, ok, run):
    np.save("grads.npy", np.ones(5, np.float32))
    for party in "ab":
        ok("encrypt", "grads.npy", "--party", party, "-o", f"{party}.enc")
    ok("aggregate", "a.enc", "b.enc")
    (web.folder / "round.agg").write_bytes((place / "round.agg").read_bytes())
    url = f"{web.url}/round.agg?X-Amz-Signature=hidden"
    for words in (
        ("inspect", url),
        ("verify", url),
        ("verify", url, "--from", "a.enc", "b.enc", "--json"),
        ("verify", url, "--from", "a.enc"),
        ("decrypt", url, "--from", "a.enc", "b.enc", "-o", "round.sum", "--json"),
        ("decrypt", url, "--from", "a.enc", "-o", "other.sum"),
        ("aggregate", url, url, "-o", "again.agg"),
        ("apply", url, "-o", "mean.npz"),
    ):
        _, output, errors = run(*words)
        assert web.url in output + errors or words[0] == "decrypt"
        assert "hidden" not in output + errors
