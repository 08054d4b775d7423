"""Whether the time of a call tells what it was given.

O. Reparaz, J. Balasch and I. Verbauwhede, "Dude, is my code constant time?"
(2017): calls on inputs of two classes, in random order, and Welch's t-test on
their times, of all and of those below some percentiles. dudect takes 10 for
certain, and begins to doubt at 5.
"""

import random
import time

import numpy as np

CROPS = (100, 99, 95, 90, 80, 50)
"""Percentiles: above them the machine does something else."""


def largest_t(calls, count):
    """Call both so often, in turns that nobody foresees; the largest t of all croppings."""
    taken = [[], []]
    for _ in range(count):
        which = random.getrandbits(1)
        start = time.perf_counter_ns()
        calls[which]()
        taken[which].append(time.perf_counter_ns() - start)
    both = [np.array(each, np.float64) for each in taken]
    limits = np.percentile(np.concatenate(both), CROPS)
    return max(abs(_t(*[each[each <= limit] for each in both])) for limit in limits)


def _t(a, b):
    if min(len(a), len(b)) < 2:
        # All of one class take longer than all that is looked at.
        return np.inf
    spread = a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)
    return (a.mean() - b.mean()) / np.sqrt(spread)


def least_of(tries, calls, count):
    """What is left of it when measured again: what leaks does so each time, what is noise does not."""
    return min(largest_t(calls, count) for _ in range(tries))
