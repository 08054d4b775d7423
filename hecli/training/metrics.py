"""Metrics as tensors of an update: how each travels, and how the mean comes back.

A metric is two values: what was measured, and its range where it was measured
at all. So those who did not measure one do not pull its mean towards zero.
"""

import json
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from hecli.formats.tensors.arrays import Array
from hecli.formats.tensors.specs import TensorSpec
from hecli.training.terms import Metric

PREFIX = "hecli.metric."
LARGEST = sys.float_info.max


def tensor_name(metric: str) -> str:
    """Name the tensor in which a metric travels.

    Args:
        metric: Its name.

    Returns:
        The tensor's.
    """
    return PREFIX + metric


def specs_of(metrics: Sequence[Metric]) -> tuple[TensorSpec, ...]:
    """Say what tensors metrics take.

    Args:
        metrics: The metrics.

    Returns:
        The tensors.
    """
    return tuple(TensorSpec(tensor_name(each.name), "float64", (2,)) for each in metrics)


def to_tensors(metrics: Sequence[Metric], measured: Mapping[str, float]) -> dict[str, Array]:
    """Make the tensors of an update that metrics travel in.

    Args:
        metrics: The metrics.
        measured: What was measured, by name.

    Returns:
        The tensors, by name.
    """
    found: dict[str, Array] = {}
    for each in metrics:
        value = measured.get(each.name)
        pair = [0.0, 0.0] if value is None else [min(max(value, -each.range), each.range), each.range]
        found[tensor_name(each.name)] = np.array(pair, np.float64)
    return found


def to_means(metrics: Sequence[Metric], means: Mapping[str, Array]) -> dict[str, float]:
    """Read metrics from the means of their tensors.

    Args:
        metrics: The metrics.
        means: The mean of each tensor, by name.

    Returns:
        The weighted mean over those who measured each, by name; without those that nobody did.
    """
    found = {}
    for each in metrics:
        value, share = (float(mean) for mean in means[tensor_name(each.name)])
        # Less than what rounding alone gives is nothing.
        if share > each.range * 2.0**-12:
            found[each.name] = value / share * each.range
    return found


def read_measured(text: str, metrics: Sequence[Metric]) -> tuple[dict[str, float], list[str]]:
    """Read what a training command measured.

    Args:
        text: What it wrote: a JSON map of names to numbers.
        metrics: What the training asks for.

    Returns:
        What was measured of it, and notes about the rest.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return {}, ["the metrics are no JSON map of names to numbers; they were ignored"]
    wanted = {each.name: each for each in metrics}
    found, notes = {}, []
    for name, value in given.items():
        if name not in wanted:
            notes.append(f"the metric {str(name)[:64]!r} is none of the training's; it was ignored")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            notes.append(f"the metric {name} is no finite number; it was ignored")
        else:
            found[name] = float(value)
            if abs(value) > wanted[name].range:
                notes.append(f"the metric {name} is {value:g}, clipped to ±{wanted[name].range:g}")
    notes += [f"the metric {name} was not measured" for name in wanted.keys() - given.keys()]
    return found, notes
