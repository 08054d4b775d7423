"""An aggregate made again from the updates, to see that it is what it says."""

from collections.abc import Sequence
from typing import BinaryIO

from hecli.errors import MismatchError, RefusedError
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Ciphertexts, Contributor
from hecli.plan.data import Plan
from hecli.rounds.aggregate import Sources, open_ciphertexts, open_sources, product
from hecli.rounds.streams import Progress, no_progress, open_reader


def verify_aggregate(
    aggregate: BinaryIO,
    sources: Sequence[BinaryIO],
    plan: Plan | None = None,
    *,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> tuple[Contributor, ...]:
    """Recompute an aggregate from its parties' updates, all seekable streams; return who is in it.

    Raises MismatchError, naming the first difference, where it is not their
    product, and as `hecli.aggregate` does for updates that are not sound.
    """
    reader = open_reader(aggregate)
    own, header = open_ciphertexts(reader, plan)
    check_recomputed(reader, own, header, sources, jobs=jobs, progress=progress)
    return header.contributors


def check_recomputed(
    reader: Reader,
    plan: Plan,
    header: Ciphertexts,
    sources: Sequence[BinaryIO],
    *,
    jobs: int | None,
    progress: Progress,
) -> None:
    """Raise MismatchError unless an opened aggregate is the product of the updates; rewinds it."""
    reader.require("aggregate", hint="give the aggregate first, and the parties' updates with --from")
    if not sources:
        raise RefusedError("there are no updates to recompute the aggregate from")
    # Damage shows in the digests, and is not taken for fraud.
    reader.verify()
    opened = open_sources(sources, plan)
    for source in opened.readers:
        source.require(
            "update", hint="--from takes the parties' own updates, for an aggregate proves nothing by itself"
        )
    _check_contributors(reader.name, header.contributors, opened)
    if header.enrolled != opened.enrolled:
        raise MismatchError(
            f"{reader.name}: lists others as enrolled than the updates do",
            "whoever aggregated altered it: aggregate the updates again",
        )
    done = 0
    with product(opened, jobs, progress) as blocks:
        for block in blocks:
            count = len(block) // plan.ciphertext_size
            found = reader.read(count)
            if found != block:
                at = done + _first_difference(found, block, plan.ciphertext_size)
                raise MismatchError(
                    f"{reader.name}: ciphertext {at} is not the product of the updates'",
                    "whoever aggregated put something else in: aggregate the updates again",
                )
            done += count
    reader.rewind()


def _check_contributors(name: str, contributors: tuple[Contributor, ...], opened: Sources) -> None:
    """Raise MismatchError for the first contributor that is not the same on both sides."""
    listed = {each.party: each for each in contributors if each.party is not None}
    given = {each.party: each for each in opened.contributors if each.party is not None}
    for party in sorted(listed.keys() & given.keys()):
        if listed[party].digest != given[party].digest:
            raise MismatchError(
                f"{name}: counts another update of {party} than {opened.found_in[given[party].digest]} "
                f"(digest {listed[party].digest.hex()[:16]}, not {given[party].digest.hex()[:16]})",
                "one of them was altered or replaced: ask the party which one is its own",
            )
    digests = {each.digest for each in opened.contributors}
    for each in contributors:
        if each.digest not in digests:
            raise MismatchError(
                f"{name}: counts {each}, whose update is not among the files",
                "give all the updates it was made of with --from; if you have them all, one was made up",
            )
    counted = {each.digest for each in contributors}
    for each in opened.contributors:
        if each.digest not in counted:
            raise MismatchError(
                f"{name}: does not count {each}, whose update is in {opened.found_in[each.digest]}",
                "whoever aggregated dropped a party: aggregate again, or leave the file out if it came late",
            )


def _first_difference(found: bytes, block: bytes, size: int) -> int:
    return next(
        at for at in range(len(block) // size) if found[at * size :][:size] != block[at * size :][:size]
    )
