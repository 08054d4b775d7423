"""Servers on the loopback, for tests of far storage: real ones, and one that cuts connections."""

import contextlib
import datetime as dt
import http.client
import http.server
import ipaddress
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parent.parent
PATIENCE = 30

AZURITE = ROOT / ".venv" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""
"""One request at a time: with many, moto looks whether a file is there, and then lets two write it."""

ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of Azurite's own account, which is the same everywhere."""

SECRET = "unheard-of-secret"
"""Of the account at S3, which no message may show."""

SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def started(words, port):
    """A server, from when it listens to the end of the block."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{words[0]} ended"
            assert time.monotonic() < deadline, f"{words[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def moto():
    """The address of a server that speaks S3."""
    pytest.importorskip("moto", reason="moto, which speaks S3, is not installed")
    pytest.importorskip("obstore", reason="obstore is not installed")
    port = free_port()
    with started([sys.executable, "-c", MOTO, str(port)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def ceph(folder):
    """The address of Ceph's RADOS gateway, which keeps all in memory."""
    if shutil.which("radosgw") is None:
        pytest.skip("Ceph's RADOS gateway is not installed: make test-ceph does it with apt-get")
    words = ["bash", str(Path(__file__).parent / "ceph.sh"), str(folder), str(free_port())]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            assert address, "Ceph does not start"
            yield address
        finally:
            process.stdin.close()
            process.wait(30)


def make_bucket(address):
    """A new bucket there."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    name = f"bucket-{secrets.token_hex(6)}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket=name)
    return name


@contextlib.contextmanager
def azurite():
    """The address of a server that speaks as Azure's storage does."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    if not AZURITE.exists() or shutil.which("node") is None:
        pytest.skip(
            "Azurite, which speaks as Azure does, is not installed: make .venv/storage does it with npm"
        )
    port = free_port()
    words = ["node", str(AZURITE), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]
    words += ["--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with started(words, port):
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"


def make_container(address):
    """A new container there."""
    from azure.storage.blob import BlobServiceClient

    name = f"container-{secrets.token_hex(6)}"
    client = BlobServiceClient(address, credential={"account_name": ACCOUNT, "account_key": ACCOUNT_KEY})
    client.create_container(name)
    return name


def sftp_server():
    """Where OpenSSH's server for files is."""
    found = next((each for each in SFTP_SERVERS if os.path.exists(each)), None)
    if found is None:
        pytest.skip("OpenSSH's sftp-server is not installed")
    return found


def stand_in_for_ssh(folder, words):
    """A command ssh that takes the same options, and runs a server here; the environment it is found in."""
    folder.mkdir(exist_ok=True)
    script = folder / "ssh"
    script.write_text(
        textwrap.dedent(
            f"""\
            #!/bin/sh
            echo "$@" >> {folder}/calls
            case "$*" in *"-s -- nowhere sftp") exit 255;; esac
            exec {words}
            """
        )
    )
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority: the paths of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert, private


class Web:
    """A web server for one folder.

    Args:
        folder: The folder.
        ranges: Whether it gives ranges.
    """

    def __init__(self, folder, cert, private, *, ranges):  # noqa: C901 - one handler
        self.folder = folder
        self.ranges = ranges
        self.requests = []
        self.failing = []
        """What becomes of the next requests: a status, or "cut" for half an answer."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                fails = outer.failing.pop(0) if outer.failing else None
                if isinstance(fails, int):
                    self.send_response(fails)
                    if fails == 302:
                        self.send_header("Location", outer.leads_to)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return None
                if fails in ("length", "endless", "more", "nowhere"):
                    return outer.hostile(self, fails)
                path = outer.folder / self.path.partition("?")[0].lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return None
                data, size = path.read_bytes(), path.stat().st_size
                asked = self.headers.get("Range")
                if asked and outer.ranges:
                    start, end = asked.removeprefix("bytes=").split("-")
                    if int(start) >= size:
                        self.send_response(416)
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return None
                    data = data[int(start) : int(end) + 1]
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{int(start) + len(data) - 1}/{size}")
                    self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if fails == "cut" else data)
                if fails == "cut":
                    self.close_connection = True
                return None

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, private)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.leads_to = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def hostile(handler, how):
        """An answer that makes no sense, or has no end."""
        if how == "nowhere":
            handler.send_response(302)
            handler.send_header("Location", "https://[/")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if handler.headers.get("Range") else 200)
        handler.send_header("Content-Range", "bytes 0-131071/300000")
        if how == "length":
            handler.send_header("Content-Length", "abc")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(20 if how == "more" else 1000):
                handler.wfile.write(bytes(1 << 16))
        handler.close_connection = True

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def put(address, bucket, key, data):
    """A file in a bucket, whatever its name is."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **keys).put_object(Bucket=bucket, Key=key, Body=data)


class Proxy:
    """Stands before a server that speaks HTTP, and cuts connections when it is told to.

    Args:
        address: That of the server.
    """

    def __init__(self, address):  # noqa: C901 - one handler, with what it does inside
        self.requests = []
        self.cuts = lambda number, method, path: None
        """Says of a request what becomes of it: "before" it reaches the server, "after", or None."""
        self.alters = lambda number, method, path, headers: None
        """May change the headers of a request."""
        host = address.partition("://")[2].partition("/")[0]
        outer, lock = self, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                with lock:
                    number = len(outer.requests)
                    outer.requests.append((self.command, self.path))
                cut = outer.cuts(number, self.command, self.path)
                body = self._body()
                if cut == "before":
                    return self._cut()
                headers = dict(self.headers.items())
                outer.alters(number, self.command, self.path, headers)
                connection = http.client.HTTPConnection(host, timeout=PATIENCE)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in headers.items():
                        if name.lower() not in (
                            "connection",
                            "content-length",
                            "transfer-encoding",
                            "expect",
                        ):
                            connection.putheader(name, value)
                    connection.putheader("Content-Length", str(len(body)))
                    connection.endheaders(body)
                    answer = connection.getresponse()
                    data = answer.read()
                finally:
                    connection.close()
                if cut == "after":
                    return self._cut()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in (
                        "connection",
                        "content-length",
                        "transfer-encoding",
                        "keep-alive",
                    ):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(data)
                return None

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

            def _body(self):
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _cut(self):
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        rest = address.partition("://")[2].partition("/")[2]
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}" + (f"/{rest}" if rest else "")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Denying(Proxy):
    """Answers some methods with 403, as a bucket does that one may only add to."""

    def __init__(self, methods, address):
        super().__init__(address)
        handler = self.server.RequestHandlerClass

        def deny(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b"" if self.command == "HEAD" else b"<Error><Code>AccessDenied</Code></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        for method in methods:
            setattr(handler, f"do_{method}", deny)
