"""Records to learn from: read from a file, and split among parties."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.text import count as count_of

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

HELD_OUT = 0.2
"""The share of the records that measures models, where the file has none for that."""

LEAST_RECORDS = 5
"""A party has so many at least."""

FARTHEST = 5.0
"""What differs more from the mean is cut: a feature that hardly any record has would drown the others."""

MOST_CLASSES = 1000
TRIES = 200


class Records(NamedTuple):
    """Records with what they are.

    Args:
        rows: A row of features for each.
        labels: The class of each, from 0.
    """

    rows: Floats
    labels: Labels

    def of(self, chosen: Indices) -> "Records":
        """Take some of them.

        Args:
            chosen: Which.

        Returns:
            Them.
        """
        return Records(self.rows[chosen], self.labels[chosen])

    def scaled_by(self, others: "Records") -> "Records":
        """Scale features.

        Args:
            others: Records over which each feature is to have mean 0 and deviation 1.

        Returns:
            The same records, scaled, and no value farther from 0 than FARTHEST.
        """
        # Squares of what float32 holds are too large for it.
        mean, deviation = (each(others.rows, axis=0, dtype=np.float64) for each in (np.mean, np.std))
        rows = (self.rows - mean) / np.where(deviation > 0, deviation, 1)
        return self._replace(rows=np.clip(rows, -FARTHEST, FARTHEST).astype(np.float32))


class Data(NamedTuple):
    """What a file has.

    Args:
        records: What parties learn from.
        test: What measures models; None where that is drawn from the records for each seed.
        classes: How many classes there are.
    """

    records: Records
    test: Records | None
    classes: int

    def dealt(self, split: "Split", parties: int, seed: int) -> tuple[Records, list[Records]]:
        """Deal the records to parties.

        Args:
            split: How.
            parties: How many parties there are.
            seed: What all that is random follows from.

        Returns:
            Those that measure models, and those of each party.

        Raises:
            HecliError: There are too few records for so many parties.
        """
        random = np.random.default_rng(seed)
        records, test = self.records, self.test
        if test is None:
            order = random.permutation(len(records.labels))
            out = math.ceil(HELD_OUT * len(order))
            records, test = records.of(order[out:]), records.of(order[:out])
        for _ in range(TRIES):
            hands = split.deal(records.labels, parties, random)
            if min(map(len, hands)) >= LEAST_RECORDS:
                return test, [records.of(hand) for hand in hands]
        raise HecliError(
            f"{len(records.labels):,} records are too few for {parties} parties, split as {split}: "
            f"each needs {LEAST_RECORDS}",
            "use fewer --parties, or --split iid",
        )


class Split(NamedTuple):
    """How records are split among parties.

    Args:
        kind: A key of SPLITS.
        number: Its number, where it has one.
    """

    kind: str
    number: float | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number:g}"

    def deal(self, labels: Labels, parties: int, random: np.random.Generator) -> list[Indices]:
        """Deal records.

        Args:
            labels: Their classes.
            parties: How many parties there are.
            random: What draws.

        Returns:
            Which records each party has.
        """
        return SPLITS[self.kind](labels, parties, self.number or 0, random)

    @classmethod
    def parse(cls, text: str) -> "Split":
        """Read what was typed.

        Args:
            text: It, such as `iid`, `dirichlet:0.5` or `labels:2`.

        Returns:
            The split.

        Raises:
            HecliError: There is none such.
        """
        match = re.fullmatch(r"(iid)|(dirichlet):([0-9.]+)|(labels):([1-9][0-9]{0,3})", text)
        try:
            if match is None:
                raise ValueError
            kind = match[1] or match[2] or match[4]
            number = match[3] or match[5]
            if number is None:
                return cls(kind)
            if not 0 < float(number) < math.inf:
                raise ValueError
            return cls(kind, float(number))
        except ValueError:
            raise HecliError(
                f"{text!r} is no split", "use iid, dirichlet:0.5 or labels:2, or other numbers"
            ) from None


def _evenly(labels: Labels, parties: int, number: float, random: np.random.Generator) -> list[Indices]:
    """Deal records at random, as many to each party."""
    del number
    return np.array_split(random.permutation(len(labels)), parties)


def _dirichlet(labels: Labels, parties: int, number: float, random: np.random.Generator) -> list[Indices]:
    """Deal each class by shares that follow a Dirichlet distribution (T. H. Hsu et al., 2019)."""
    hands: list[list[Indices]] = [[] for _ in range(parties)]
    for label in np.unique(labels):
        them = random.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(random.dirichlet([number] * parties))[:-1] * len(them)
        for hand, part in zip(hands, np.split(them, ends.astype(int)), strict=True):
            hand.append(part)
    return [np.concatenate(hand) for hand in hands]


def _by_labels(labels: Labels, parties: int, number: float, random: np.random.Generator) -> list[Indices]:
    """Deal so many pieces of the records, sorted by class, to each party (H. B. McMahan et al., 2017)."""
    pieces = int(number) * parties
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    cut = np.array_split(order, pieces)
    places = random.permutation(pieces)
    return [
        np.concatenate([cut[place] for place in places[start:stop]])
        for start, stop in pairwise(range(0, pieces + 1, int(number)))
    ]


SPLITS: dict[str, Callable[[Labels, int, float, np.random.Generator], list[Indices]]] = {
    "iid": _evenly,
    "dirichlet": _dirichlet,
    "labels": _by_labels,
}
"""The ways to split, by name."""


def read_data(stream: BinaryIO, path: str) -> Data:
    """Read records.

    Args:
        stream: An .npz file with X (a row for each record), y (the classes), and maybe X_test and y_test.
        path: Its path, for errors.

    Returns:
        What it has.

    Raises:
        DataError: It is not what classifiers learn from.
        FormatError: It is no such file.
    """
    arrays = _arrays(stream, path)
    records = _rows(arrays, "X", path)
    found, labels = _classes(arrays, "y", len(records), path)
    test = None
    if "X_test" in arrays or "y_test" in arrays:
        rows = _rows(arrays, "X_test", path)
        if rows.shape[1] != records.shape[1]:
            raise DataError(
                f"{path}: X_test has {rows.shape[1]:,} features, X has {records.shape[1]:,}",
                "give both the same features",
            )
        wanted, of_test = _classes(arrays, "y_test", len(rows), path)
        if len(extra := np.setdiff1d(wanted, found)):
            raise DataError(f"{path}: y_test has the class {extra[:1].tolist()[0]!r}, which y has not")
        test = Records(rows, np.searchsorted(found, wanted)[of_test].astype(np.int64))
    return Data(Records(records, labels), test, len(found))


def read_rows(stream: BinaryIO, path: str, features: int) -> Floats:
    """Read public examples, which have no classes or none that are looked at.

    Args:
        stream: An .npz file with X.
        path: Its path, for errors.
        features: How many features each has to have.

    Returns:
        A row for each.

    Raises:
        DataError: They are not what models read.
        FormatError: It is no such file.
    """
    rows = _rows(_arrays(stream, path), "X", path)
    if rows.shape[1] != features:
        raise DataError(
            f"{path}: X has {rows.shape[1]:,} features, the data has {features:,}", "give both the same"
        )
    return rows


def _arrays(stream: BinaryIO, path: str) -> dict[str, npt.NDArray[Any]]:
    try:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise FormatError(f"{path} is one array", "make it with np.savez(path, X=..., y=...)")
        with loaded as file:
            return {name: file[name] for name in file.files}
    except Exception as error:
        # Of what is no such file, NumPy and its unpackers raise whatever comes to them.
        if isinstance(error, HecliError | MemoryError) or (isinstance(error, OSError) and error.errno):
            raise
        raise FormatError(
            f"{path} is no .npz file of numbers, or was altered", "make it with np.savez(path, X=..., y=...)"
        ) from error


def _rows(arrays: dict[str, npt.NDArray[Any]], name: str, path: str) -> Floats:
    if name not in arrays:
        raise DataError(f"{path} has no {name}", "save it with np.savez(path, X=..., y=...)")
    found = arrays[name]
    if found.ndim < 2 or not found.size or found.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: {name} of {found.dtype} and shape {list(found.shape)} is no table of numbers",
            "give a row of numbers for each record",
        )
    # What overflows is refused below, by name.
    with np.errstate(over="ignore"):
        rows = found.reshape(len(found), -1).astype(np.float32)
    if not np.isfinite(rows).all():
        at, feature = np.argwhere(~np.isfinite(rows))[0]
        raise DataError(
            f"{path}: {name}[{at}, {feature}] is {rows[at, feature]}", "fill in or leave out what is missing"
        )
    return rows


def _classes(
    arrays: dict[str, npt.NDArray[Any]], name: str, count: int, path: str
) -> tuple[npt.NDArray[Any], Labels]:
    """The classes in their order, and that of each record."""
    if name not in arrays:
        raise DataError(f"{path} has no {name}", "save it with np.savez(path, X=..., y=...)")
    found = arrays[name]
    if found.shape != (count,):
        raise DataError(
            f"{path}: {name} has shape {list(found.shape)}, for {count:,} records",
            "give the class of each record",
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{path}: {name}[{int(np.argmin(np.isfinite(found)))}] is no class")
    classes, labels = np.unique(found, return_inverse=True)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"{path}: {name} has {count_of(len(classes), 'class', 'classes')}, and not 2 to {MOST_CLASSES:,}",
            "models here tell classes apart; numbers are not predicted",
        )
    return classes, labels.astype(np.int64)
