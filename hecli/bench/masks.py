"""What a round of masks alone takes besides additions: enrolling, answering, taking off what is left."""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hecli.bench.peers import sample_values
from hecli.formats.tensors.arrays import of_arrays
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.measuring.seeds import Report
from hecli.plan.making import make_plan
from hecli.rounds.aggregate import aggregate
from hecli.rounds.answer import answer
from hecli.rounds.decrypt import decrypt
from hecli.rounds.encrypt import encrypt
from hecli.rounds.enroll import enroll
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks

Maker = Callable[[io.BytesIO], object]
"""Makes a file."""

ROUNDS = ((10, 3), (100, 30))
"""How many parties, and how many of them drop out."""

MOST_VALUES = 100_000


def masks(count: int, report: Report) -> dict[str, Any]:
    """Run rounds whose masks survive dropouts, on one core, in this process.

    Args:
        count: How many values, of which at most MOST_VALUES are taken.
        report: Told what is going on.

    Returns:
        By the number of parties: how many drop out, bytes of an enrollment and of
        an answer, and seconds of enrolling, of encrypting, of an answer, and of
        opening, which adds the updates once more.
    """
    values = min(count, MOST_VALUES)
    return {"masks": {str(parties): _round(values, parties, gone, report) for parties, gone in ROUNDS}}


def _round(count: int, parties: int, gone: int, report: Report) -> dict[str, float]:
    report(f"masking among {parties} parties, of whom {gone} drop out")
    people = [Identity.generate(f"party-{at:03}") for at in range(parties)]
    roster = Roster.of([each.card for each in people], coordinator=people[0].card)
    values = {"w": sample_values(count).astype(np.float32)}
    plan = make_plan(of_arrays(values), Masks(Masking(gone)), roster=roster, value_range=4.0)

    def enrolled_as(who: Identity) -> Maker:
        return lambda out: enroll(out, plan, who)

    enrolling, enrolled = _timed([enrolled_as(who) for who in people])
    here = people[gone:]

    def sent(who: Identity) -> Maker:
        own: dict[str, Any] = {"plan": plan, "identity": who, "record": lambda _plan, _file: None}
        return lambda out: encrypt(of_arrays(values), out, None, enrollments=_all(enrolled), **own)

    encrypting, updates = _timed([sent(who) for who in here])
    _, (made,) = _timed([lambda out: aggregate(_all(updates), out, identity=people[0])])

    def answered(who: Identity) -> Maker:
        return lambda out: answer(io.BytesIO(made), out, who, _all(enrolled), _all(updates), plan=plan)

    answering, answers = _timed([answered(who) for who in here])
    given: dict[str, Any] = {
        "updates": _all(updates),
        "enrollments": _all(enrolled),
        "answers": _all(answers),
    }
    opening, _ = _timed(
        [lambda out: decrypt(io.BytesIO(made), out, None, identity=people[0], plan=plan, **given)]
    )
    return {
        "gone": gone,
        "enrollment": max(map(len, enrolled)),
        "answer bytes": max(map(len, answers)),
        "enroll": enrolling,
        "encrypt": encrypting,
        "answer": answering,
        "open": opening,
    }


def _timed(makers: list[Maker]) -> tuple[float, list[bytes]]:
    """What makers make, and the longest that one of them takes."""
    longest, found = 0.0, []
    for make in makers:
        out, start = io.BytesIO(), time.perf_counter()
        make(out)
        longest = max(longest, time.perf_counter() - start)
        found.append(out.getvalue())
    return longest, found


def _all(files: list[bytes]) -> list[io.BytesIO]:
    return [io.BytesIO(each) for each in files]
