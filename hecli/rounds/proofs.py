"""What proofs in updates and sums are bound to, and the check of those in updates."""

from collections.abc import Iterator, Sequence

from hecli.arithmetic.sizes import InvalidCiphertextError
from hecli.errors import FormatError
from hecli.executors.interface import Executor
from hecli.formats.canonical import digest_of, pack
from hecli.formats.contributors import Enrolled
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.identity.signatures import signature_of
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.rounds.headers import Sum
from hecli.rounds.progress import Progress
from hecli.rounds.reading import read_ahead
from hecli.schemes.proofs import numbered

UNPROVEN = "it was computed from others' updates, or altered: leave it out, and ask its party for another"


def statement(
    plan: Plan, party: str | None, enrolled: tuple[Enrolled, ...], card: Card | None, salt: bytes
) -> bytes:
    """Give what the proofs in an update are bound to, besides their group's number and blocks.

    Args:
        plan: Its plan.
        party: Whose it is.
        enrolled: With whom it is masked.
        card: The card it is signed with, if it is signed.
        salt: What sets it apart from all others of the same party, or of nobody.

    Returns:
        A digest, 32 bytes.
    """
    who = None if card is None else list(card)
    listed = [list(each) for each in enrolled]
    return digest_of("statement", pack([plan.digest, plan.geometry.blocks, party, listed, who, salt]))


def sum_statement(total: Sum, lanes: bytes) -> bytes:
    """Give what the proofs in a sum are bound to, besides their group's number and blocks.

    Args:
        total: What the sum says of itself; its aggregate's digest stands for all ciphertexts.
        lanes: SHA-256 over all its lanes.

    Returns:
        A digest, 32 bytes.
    """
    said = [total.plan.digest, total.aggregate, total.weight, total.clipped, lanes]
    return digest_of("sum statement", pack(said))


def check_proofs(
    updates: Sequence[tuple[Reader, str | None, bytes]],
    plan: Plan,
    extent: Extent,
    enrolled: tuple[Enrolled, ...],
    work: Executor,
    progress: Progress,
) -> None:
    """Refuse updates of which a proof does not hold; nothing where the scheme has none.

    Args:
        updates: The opened updates, checked but for their blocks; whose each is, and its salt.
        plan: Their plan.
        extent: What of them is checked, and can be read.
        enrolled: With whom they are masked.
        work: Who works.
        progress: Told how many blocks are checked, and of how many.

    Raises:
        FormatError: A proof does not hold, or a chunk is damaged.
    """
    knowledge, sizes = plan.scheme.knowledge, plan.geometry
    if knowledge is None:
        return

    def groups(update: tuple[Reader, str | None, bytes]) -> Iterator[bytes]:
        reader, party, salt = update
        signature = signature_of(reader)
        bound = statement(plan, party, enrolled, None if signature is None else signature.card, salt)
        found = zip(extent.groups, groups_of(reader, sizes.group), proofs_of(reader), strict=True)
        for number, group, proof in found:
            yield bound + numbered(number, group) + proof

    total = len(updates) * extent.blocks
    # Processes before threads, which are not there after a fork.
    with (
        knowledge.checking(len(updates) * len(extent.groups), work) as run,
        read_ahead(map(groups, updates)) as ahead,
    ):
        results = run(ahead)
        for done, (reader, _, _) in enumerate(updates):
            for number in extent.groups:
                first = min(number * sizes.group, sizes.lane_blocks)
                _check(results, reader, first)
                progress(min(done * extent.blocks + first - extent.main.first + sizes.group, total), total)


def _check(results: Iterator[bytes], reader: Reader, first: int) -> None:
    """Take the next result; raise FormatError, naming the update, unless it says that the proof holds."""
    try:
        held = next(results)
    except InvalidCiphertextError as error:
        raise FormatError(
            f"{reader.name}: ciphertext {first + error.index} {error.reason}", error.hint
        ) from error
    if held != b"\1":
        raise FormatError(
            f"{reader.name}: the proof of its ciphertexts from {first} on does not hold", UNPROVEN
        )


def groups_of(reader: Reader, size: int) -> Iterator[bytes]:
    """Read an update or aggregate from its start, group by group.

    Args:
        reader: The opened file.
        size: Blocks of a group of lanes.

    Yields:
        The blocks of each group, of chunks whose digests hold.
    """
    for name in ("lanes", "control"):
        section = reader.section(name)
        section.rewind()
        yield from section.checked_blocks(size)


def proofs_of(reader: Reader) -> Iterator[bytes]:
    """Read the proofs of an update or a sum from the first.

    Args:
        reader: The opened file.

    Yields:
        The proof of each group, of chunks whose digests hold.
    """
    proofs = reader.section("proofs")
    proofs.rewind()
    yield from proofs.checked_blocks(1)
