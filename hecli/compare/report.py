"""A comparison as a page."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from hecli.compare.advice import seconds
from hecli.compare.cells import cost_cells, noise_text, training_cells
from hecli.compare.exposure import WHO
from hecli.formats.text import count
from hecli.pages.charts import SERIES, Series, dots, lines
from hecli.pages.page import Cell, figures, heading, key, page, paragraph, table

Row = Mapping[str, Any]

SAME = 0.001
"""Curves that are nowhere farther apart than this are drawn as one: a tenth of a point."""

ABOUT = 1.1
"""Sizes that differ by less than this factor are drawn as one."""

MEASURED = ("bytes", "party", "aggregator", "opening", "memory", "error")
"""The figures of a round, as columns have them."""

NEVER = 1e300
"""What sorts behind everything."""


def report(found: Mapping[str, Any]) -> str:
    """Write a comparison as a page.

    Args:
        found: The comparison.

    Returns:
        The page, which loads nothing.
    """
    rows = [row for row in found["rows"] if not row["failure"]]
    trained = "averaging" in found
    parts = [
        heading("How should these parties protect their updates?", 1),
        paragraph(_about(found), "quiet"),
        paragraph(found["recommendation"]["text"], "advice"),
        figures([*(_learning(found, rows) if trained else ()), *_costs(rows), *_noise(found)]),
        heading("All figures"),
        _figures(found, rows),
        heading("Who could learn one party's update"),
        _grid(rows),
    ]
    if trained:
        parts += [heading("What they are set beside"), _beside(found)]
    if failed := [row for row in (*found["rows"], *found.get("beside", ())) if row.get("failure")]:
        parts += [heading("Not measured")]
        parts += [paragraph(f"{row['title']}: {row['failure']}") for row in failed]
    parts += [
        heading("How it was measured"),
        *(paragraph(each, "quiet") for each in _how(found, trained=trained)),
    ]
    return page("hecli compare", parts)


def _about(found: Mapping[str, Any]) -> str:
    parties = count(found["parties"], "party", "parties")
    about = f"{parties}, {count(found['values'], 'value')}"
    if "averaging" in found:
        about += (
            f"; {count(found['records'], 'record')} of {found['classes']} classes, split {found['split']}, "
            f"{count(found['rounds'], 'round')}, {count(found['seeds'], 'seed')}"
        )
    return about + f". Keys of {found['key_bits']:,} bits."


def _how(found: Mapping[str, Any], *, trained: bool) -> Iterator[str]:
    yield (
        f"hecli {found['version']}, {count(found['cores'], 'core')} of {found['machine']}, arithmetic "
        f"{found['arithmetic']}. Bytes, seconds and memory are of whole commands of one round."
    )
    if any(row["noise"] for row in found["rows"]):
        yield f"{noise_text(found).capitalize()}."
    if found["perturbed"]:
        made_up = count(found["perturbed"], "party", "parties")
        yield f"The updates of {made_up} are made up, like those at hand."
    if any(row["figures"] and row["figures"]["extrapolated"] for row in found["rows"]):
        yield "A ~ marks what is extrapolated from a part of the values, of which error and memory are shown."
    if trained:
        yield (
            f"Accuracy is of {count(found['held_out'], 'record')} that nobody learned from: the mean of all "
            "seeds, ± the standard deviation of single ones. With the first seed every update was encrypted, "
            "aggregated and opened; with others what would be was added up, which comes to the same."
        )


def _figures(found: Mapping[str, Any], rows: Sequence[Row]) -> str:
    cells = [_cells(number, row, found) for number, row in enumerate(rows, 1)]
    return table(
        [*cells[0]], [[*each.values()] for each in cells], "Each technique; a click on a title sorts"
    )


def _cells(number: int, row: Row, found: Mapping[str, Any]) -> dict[str, Cell]:
    """All there is to say of a technique, by the titles of the columns."""
    cells = {"technique": Cell(f"{number} {row['title']}", number)}
    if "averaging" in found:
        learned = training_cells(row, found) if "accuracy" in row else {}
        for at, name in enumerate(training_cells(found["averaging"], found)):
            cells[name] = Cell(learned.get(name, ""), _training_key(row, name, at))
    for (title, text), name in zip(cost_cells(row).items(), MEASURED, strict=True):
        measured = row["figures"][name]
        cells[title] = Cell(text, NEVER if measured is None else measured)
    return cells | {
        "extra steps": Cell(", ".join(row["extra_steps"]) or "none", len(row["extra_steps"])),
        "parties that may go": Cell(str(row["dropouts"]), row["dropouts"]),
        "post-quantum": Cell("yes" if row["post_quantum"] else "no"),
    }


def _training_key(row: Row, name: str, at: int) -> float:
    if "accuracy" not in row:
        return NEVER
    if name == "accuracy":
        return float(row["accuracy"]["mean"][-1])
    if name == "points":
        return float(row["points"])
    if name == "epsilon":
        return NEVER if row["epsilon"] is None else float(row["epsilon"])
    reached = row["reached"][at - 2]["bytes"]
    return NEVER if reached is None else float(reached)


def _grid(rows: Sequence[Row]) -> str:
    body = []
    for row in rows:
        cells = [Cell(row["title"])]
        for who in WHO:
            each = row["learns"][who]
            text = "nobody is one" if each["level"] == "nobody" else each["level"]
            cells.append(Cell(text, kind=each["level"], small=each["why"]))
        body.append(cells)
    return f'<div class="grid">{table(["technique", *WHO], body, "Each by itself, with what it has")}</div>'


def _beside(found: Mapping[str, Any]) -> str:
    rows = []
    for each in (one for one in found["beside"] if "accuracy" in one):
        cells = training_cells(each, found)
        rows.append([Cell(each["title"]), Cell(cells["accuracy"], each["accuracy"]["mean"][-1])])
    return table(["", "accuracy"], rows, "At the end, in percent")


def _families(rows: Sequence[Row]) -> list[tuple[list[Row], int]]:
    """Techniques whose models are as good in every round, with the colour that they have in common."""
    families: list[list[Row]] = []
    for row in rows:
        if "accuracy" not in row:
            continue
        for family in families:
            pairs = zip(row["accuracy"]["mean"], family[0]["accuracy"]["mean"], strict=True)
            if all(abs(one - other) <= SAME for one, other in pairs):
                family.append(row)
                break
        else:
            families.append([row])
    return [(family, at) for at, family in enumerate(families)]


def _as_large(family: Sequence[Row]) -> list[list[Row]]:
    """Techniques of a family whose parties send about as much, from the least to the most."""
    groups: list[list[Row]] = []
    for row in sorted(family, key=lambda row: sum(row["sent"])):
        if groups and sum(row["sent"]) < ABOUT * sum(groups[-1][0]["sent"]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _learning(found: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    families = _families(rows)
    numbers = {row["technique"]: str(at) for at, row in enumerate(rows, 1)}
    by_round, by_bytes, names = [], [], []
    for family, colour in families:
        names.append((colour, ", ".join(f"{numbers[row['technique']]} {row['title']}" for row in family)))
        mean, spread = family[0]["accuracy"]["mean"], family[0]["accuracy"]["spread"]
        rounds = range(1, len(mean) + 1)
        by_round.append(
            Series(
                names[-1][1],
                rounds,
                [100 * each for each in mean],
                [100 * each for each in spread],
                colour,
                numbers[family[0]["technique"]],
            )
        )
        for at, group in enumerate(_as_large(family)):
            sent = [total / 1000 for total in accumulate(group[0]["sent"])]
            ys = [100 * each for each in group[0]["accuracy"]["mean"]]
            mark = ",".join(numbers[row["technique"]] for row in group)
            # One line for each family, of those who send least; the others' would say the same farther right.
            start = 0 if not at else -1
            by_bytes.append(Series(group[0]["title"], sent[start:], ys[start:], (), colour, mark))
    first = len(families)
    others = [each for each in found["beside"] if "accuracy" in each]
    for at, each in enumerate(others):
        ys = [100 * value for value in each["accuracy"]["mean"]]
        by_round.append(
            Series(each["title"], range(1, len(ys) + 1), ys, (), first + at, each["title"].split()[0])
        )
    beside = [(first + at, each["title"]) for at, each in enumerate(others)]
    ends = "; ".join(f"{each.name} ends at {each.ys[-1]:.1f}" for each in by_round)
    cheapest = min(by_bytes, key=lambda each: each.xs[-1] or 0)
    least = f"{cheapest.name} sends least, {cheapest.xs[-1]:,.0f} kB in all"
    return [
        (
            "Accuracy against rounds",
            lines(by_round, "round", "accuracy, %", f"Accuracy after each round: {ends}."),
            key([*names, *beside]),
        ),
        (
            "Accuracy against bytes sent",
            lines(
                by_bytes,
                "kB sent by a party",
                "accuracy, %",
                f"Accuracy against bytes sent: {least}.",
                logarithmic=True,
            ),
            key(names),
        ),
    ]


def _costs(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    hiding = [row for row in rows if row["technique"] != "plain"] or rows
    names = [row["title"] for row in hiding]
    roles = {"a party": "party", "the aggregator": "aggregator", "opening": "opening"}
    series = [
        Series(title, [row["figures"][name] or None for row in hiding], range(len(hiding)), (), at)
        for at, (title, name) in enumerate(roles.items())
    ]
    slow = max(hiding, key=seconds)
    sizes = Series("", [row["figures"]["bytes"] / 1000 for row in hiding], range(len(hiding)), (), 0)
    small = min(hiding, key=lambda row: float(row["figures"]["bytes"]))
    return [
        (
            "Seconds of a round, by role",
            dots(names, series, "seconds", f"Seconds by role: {slow['title']} takes longest in all."),
            key(list(enumerate(roles))),
        ),
        (
            "What a party sends in a round",
            dots(names, [sizes], "kB", f"Bytes of a party and round: {small['title']} sends least."),
            "",
        ),
    ]


def _noise(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    points = found.get("epsilons") or []
    if len(points) < 2:
        return []
    xs = [each["epsilon"] for each in points]
    ys = [100 * each["accuracy"]["mean"] for each in points]
    spread = [100 * each["accuracy"]["spread"] for each in points]
    without = 100 * found["averaging"]["accuracy"]["mean"][-1]
    series = [
        Series("with noise", xs, ys, spread, 3),
        Series("plain averaging", [xs[0], xs[-1]], [without, without], (), SERIES - 1),
    ]
    says = f"Accuracy with noise: {ys[0]:.1f} % at epsilon {xs[0]:g}, {ys[-1]:.1f} % at {xs[-1]:g}."
    unit = found["noise"]["unit"]
    return [
        (
            f"Accuracy against epsilon, of each {unit}",
            lines(series, "epsilon", "accuracy, %", says, logarithmic=True),
            key([(3, "with noise"), (SERIES - 1, "plain averaging")]),
        )
    ]
