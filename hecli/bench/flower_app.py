"""A training under Flower, measured: run by flower.py with the Python of an environment that has Flower.

It knows nothing of hecli, which is not installed there. Parties are simulated
as Flower does it, in processes of Ray; no network and no disk is between them.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.server.workflow.default_workflows import default_fit_workflow
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

SHARES, THRESHOLD = 5, 3


def load(path: Path) -> list[Any]:
    """Read weights.

    Args:
        path: An .npz file.

    Returns:
        Its arrays, in their order.
    """
    with np.load(path) as found:
        return list(found.values())


class Party(NumPyClient):  # type: ignore[misc]
    """A party whose training hands over weights made beforehand.

    Args:
        folder: Where they are.
        number: The party's number.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number

    def fit(self, parameters: Any, config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
        """Give the weights of a round.

        Args:
            parameters: The model.
            config: What the server says of the round.

        Returns:
            The weights, the party's weight, and no metrics.
        """
        del parameters
        return load(self._folder / f"made-{self._number}-{config['round'] % 2}.npz"), 1, {}


def counting(log: Path) -> Callable[..., Any]:
    """Make a mod that writes down how many bytes each reply of a party takes.

    Args:
        log: Where, one line a reply.

    Returns:
        The mod, for the outermost place.
    """

    def count(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        reply = call_next(message, context)
        # What goes over the network where there is one: the message's objects, serialised.
        size = sum(len(each.deflate()) for each in get_all_nested_objects(reply).values())
        with log.open("a") as out:
            out.write(json.dumps([int(message.metadata.group_id), size]) + "\n")
        return reply

    return count


def main() -> None:
    """Run a training, and print its figures as JSON."""
    folder, parties, rounds, secure = (
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4] == "1",
    )
    log = folder / "replies"
    log.unlink(missing_ok=True)
    seconds: list[float] = []
    fit = SecAggPlusWorkflow(SHARES, THRESHOLD) if secure else default_fit_workflow

    def timed(grid: Any, context: Any) -> None:
        start = time.perf_counter()
        fit(grid, context)
        seconds.append(time.perf_counter() - start)

    def serve(grid: Any, context: Any) -> None:
        strategy = FedAvg(
            fraction_evaluate=0.0,
            min_fit_clients=parties,
            min_available_clients=parties,
            initial_parameters=ndarrays_to_parameters(load(folder / "model.npz")),
            on_fit_config_fn=lambda number: {"round": number},
        )
        legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=rounds), strategy=strategy)
        DefaultWorkflow(fit_workflow=timed)(grid, legacy)

    def party(context: Any) -> Any:
        return Party(folder, int(context.node_config["partition-id"])).to_client()

    server = ServerApp()
    server.main()(serve)
    client = ClientApp(client_fn=party, mods=[counting(log), *([secaggplus_mod] if secure else [])])
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=parties,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0}},
    )
    sizes: dict[int, list[int]] = defaultdict(list)
    for line in log.read_text().splitlines():
        number, size = json.loads(line)
        sizes[number].append(size)
    up = [sum(sizes[number]) / parties for number in range(1, rounds + 1)]
    sys.stdout.write(json.dumps({"seconds": seconds, "up": up}) + "\n")


if __name__ == "__main__":
    main()
