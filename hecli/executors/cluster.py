"""Sharing whole parts of a round among the machines of a Dask cluster.

What a worker is sent is Python that it runs: whoever reaches a scheduler can
have its workers do anything. A secret therefore goes only over TLS, with which
Dask also lets nobody in who has no certificate.
"""

import logging
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from hecli.errors import HecliError, RefusedError
from hecli.executors.cores import default_jobs

LOCAL = "local"
"""Stands for workers on this machine, which are started and ended here."""

TLS = "tls://"
RETRIES = 2
"""How often a part is done again where its worker was lost, or failed as it should not."""

PATIENCE = 5
"""Seconds to wait for a scheduler that does not answer."""

T = TypeVar("T")
R = TypeVar("R")


class Cluster:
    """Workers who do whole parts.

    Args:
        client: Dask's, connected.
        address: What the scheduler is called in errors.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address

    @property
    def threads(self) -> int:
        """How many parts they do at once."""
        return sum(self._client.nthreads().values())

    def run(self, function: Callable[[T], R], jobs: Sequence[T]) -> Iterator[tuple[T, R]]:
        """Do jobs, each of which can be done again.

        Args:
            function: Does one, on a worker; known there by its name.
            jobs: What it is given.

        Yields:
            Each job and what came of it, as they are done.

        Raises:
            HecliError: Workers were lost again and again, or cannot do it.
        """
        from distributed import as_completed  # noqa: PLC0415 - an extra

        run = secrets.token_hex(8)
        futures = {
            self._client.submit(function, job, key=f"hecli-{run}-{at}", retries=RETRIES, pure=False): job
            for at, job in enumerate(jobs)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], self._result(future)
        finally:
            self._client.cancel(list(futures))

    def _result(self, future: Any) -> Any:
        from distributed.scheduler import KilledWorker  # noqa: PLC0415

        try:
            return future.result()
        except HecliError:
            raise
        except KilledWorker as error:
            raise HecliError(
                f"a part killed {RETRIES + 1} workers of {self._address}, one after the other",
                "do they have enough memory?",
            ) from error
        except ImportError as error:
            raise HecliError(
                f"a worker of {self._address} cannot run hecli",
                "install the same version there as here",
            ) from error
        except Exception as error:
            # Whatever it is, it went wrong elsewhere: a traceback of this machine would say nothing.
            raise HecliError(
                f"a worker of {self._address} failed: {type(error).__name__}", "its log says more"
            ) from error


@contextmanager
def dask_cluster(address: str, *, secret: bool) -> Iterator[Cluster]:
    """Connect to a Dask cluster.

    Args:
        address: That of its scheduler, such as tls://host:8786, or `local` for
            workers on this machine.
        secret: Whether a secret will be sent.

    Yields:
        The cluster.

    Raises:
        HecliError: It does not answer, or Dask is not installed.
        RefusedError: A secret would go over a connection that others can read.
    """
    if secret and address != LOCAL and not address.startswith(TLS):
        raise RefusedError(
            f"a key is not sent to {address}, which is not over TLS",
            "use a scheduler at tls://, or leave out --send-key",
        )
    try:
        from distributed import Client, LocalCluster, Security  # noqa: PLC0415
    except ImportError as error:
        raise HecliError("--dask takes a package that is missing", "pip install 'hecli[dask]'") from error
    # What goes wrong is said here, in the words of hecli.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        try:
            if address == LOCAL:
                security = Security.temporary()
                with _interrupts_ignored():
                    started = LocalCluster(
                        n_workers=default_jobs(),
                        threads_per_worker=1,
                        host="127.0.0.1",
                        protocol=TLS,
                        security=security,
                        dashboard_address=None,
                        silence_logs=logging.CRITICAL,
                    )
                client = Client(stack.enter_context(started), security=security)
            else:
                client = Client(address, timeout=PATIENCE)
            stack.enter_context(client)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            raise HecliError(
                f"no Dask scheduler answers at {address}",
                "check its address, or write local; for tls:// Dask finds certificates in its configuration",
            ) from error
        made = Cluster(client, address)
        if not made.threads:
            raise HecliError(f"the Dask scheduler at {address} has no workers", "start some: dask worker")
        yield made


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Have processes that are started meanwhile leave Ctrl-C to this one, which ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
