"""What a round by a plan costs: bytes, seconds, and the error of the mean."""

from dataclasses import dataclass

from hecli.plan.data import Plan
from hecli.schemes.interface import Load

START = 0.3
"""Seconds until Python and what it imports have started, on a common machine."""


@dataclass(frozen=True)
class Costs:
    """What a round takes on this machine.

    Args:
        file_bytes: Bytes of an update's blocks.
        tensor_bytes: Bytes of its tensors.
        seconds: Seconds of each step, by the command that does it, with as many
            parties as there may be; none where there is next to nothing to do.
    """

    file_bytes: int
    tensor_bytes: int
    seconds: dict[str, float]


def costs(plan: Plan, workers: int) -> Costs:
    """Foresee what a round takes, from a quick measurement of this machine.

    Args:
        plan: The plan.
        workers: How many work at once.

    Returns:
        The costs.
    """
    sizes = plan.geometry
    arithmetic = plan.scheme.seconds(Load(sizes.blocks, sizes.group, plan.capacity, workers))
    seconds = {step: START + each for step, each in arithmetic.items()}
    return Costs(sizes.bytes, sum(spec.nbytes for spec in plan.tensors), seconds)


def error_bound(plan: Plan, tensor: int, mean_weight: float = 1) -> float:
    """Give the most that a mean can differ from the true mean where nothing is clipped.

    Args:
        plan: The plan.
        tensor: The number of the tensor.
        mean_weight: The mean weight of the parties.

    Returns:
        The bound, in the unit of the values.
    """
    factor = plan.max_weight / mean_weight
    return plan.codec.quantise.error_bound(tensor, plan.tensors[tensor], factor)
