"""What a round by a plan costs: bytes, seconds, and the error of the mean."""

from dataclasses import dataclass

from hecli.plan.data import Plan


@dataclass(frozen=True)
class Costs:
    """What a round takes on this machine.

    Args:
        file_bytes: Bytes of an update's blocks.
        tensor_bytes: Bytes of its tensors.
        encrypt_seconds: Seconds to encrypt; None, like the others, where it is next to nothing.
        aggregate_seconds: Seconds to add updates at capacity.
        decrypt_seconds: Seconds to open.
    """

    file_bytes: int
    tensor_bytes: int
    encrypt_seconds: float | None
    aggregate_seconds: float | None
    decrypt_seconds: float | None


def costs(plan: Plan, workers: int) -> Costs:
    """Foresee what a round takes, from a quick measurement of this machine.

    The start of Python, some tenths of a second, is not counted.

    Args:
        plan: The plan.
        workers: How many work at once.

    Returns:
        The costs.
    """
    sizes = plan.geometry
    each = -(-sizes.blocks // min(workers, sizes.batches()))
    seconds = plan.scheme.seconds(each, plan.capacity) or (None, None, None)
    return Costs(sizes.bytes, sum(spec.nbytes for spec in plan.tensors), *seconds)


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
