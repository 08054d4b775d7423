"""Who is in an aggregate, and with whom they masked: lists that several kinds of file hold."""

from collections.abc import Iterable
from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import Map
from hecli.formats.envelope import DIGEST_SIZE, SIGNATURE_SIZE
from hecli.formats.text import check_name


class Contributor(NamedTuple):
    """A party inside an aggregate.

    Where the plan has a roster, also its signature under that file.

    Args:
        party: Its name, if it gave one.
        digest: The digest of its update.
        signature: Its signature under that file, where the plan has a roster.
    """

    party: str | None
    digest: bytes
    signature: bytes | None = None

    def __str__(self) -> str:
        return self.party if self.party is not None else f"unnamed {self.digest.hex()[:12]}"


class Enrolled(NamedTuple):
    """A party that enrolled in a round.

    Args:
        party: Its name.
        digest: The digest of its enrollment.
    """

    party: str
    digest: bytes


def sorted_contributors(contributors: Iterable[Contributor]) -> tuple[Contributor, ...]:
    """Put contributors in their one order.

    Args:
        contributors: Them.

    Returns:
        Them, by name, then by digest, unnamed first.
    """
    return tuple(sorted(contributors, key=lambda each: (each.party or "", each.digest)))


def pack_contributors(contributors: Iterable[Contributor]) -> list[list[str | bytes | None]]:
    """Write contributors as they stand in a header.

    Args:
        contributors: Them.

    Returns:
        An array for each.
    """
    return [list(each if each.signature is not None else each[:2]) for each in contributors]


def parse_contributors(value: list[object], file: str) -> tuple[Contributor, ...]:
    """Read contributors from a header.

    Args:
        value: What stands there.
        file: The file, for errors.

    Returns:
        The contributors.

    Raises:
        FormatError: The list is malformed, out of order, or has one twice.
    """
    found = []
    for item in value:
        match item:
            case [str() | None as party, bytes(digest)] if len(digest) == DIGEST_SIZE:
                found.append(parse_contributor(file, party, digest))
            case [str(party), bytes(digest), bytes(signature)] if (
                len(digest) == DIGEST_SIZE and len(signature) == SIGNATURE_SIZE
            ):
                found.append(parse_contributor(file, party, digest, signature))
            case _:
                raise FormatError(f"{file}: its list of contributors is malformed")
    contributors = tuple(found)
    if not contributors or contributors != sorted_contributors(contributors):
        raise FormatError(f"{file}: its contributors are missing or out of order")
    names = [each.party for each in contributors if each.party is not None]
    digests = {each.digest for each in contributors}
    if len(set(names)) != len(names) or len(digests) != len(contributors):
        raise FormatError(f"{file}: lists a contributor twice")
    return contributors


def parse_contributor(
    file: str, party: str | None, digest: bytes, signature: bytes | None = None
) -> Contributor:
    """Make a contributor of parts whose sizes are right.

    Args:
        file: The file, for errors.
        party: A name, or none.
        digest: The digest of its update.
        signature: Its signature, or none.

    Returns:
        The contributor.

    Raises:
        FormatError: The name is none.
    """
    if party is not None:
        try:
            check_name(party)
        except FormatError as error:
            raise FormatError(f"{file}: {error.message}") from error
    return Contributor(party, digest, signature)


def pack_enrolled(enrolled: tuple[Enrolled, ...]) -> Map:
    """Write who enrolled as a header holds it: not at all where nobody did.

    Args:
        enrolled: Who did.

    Returns:
        The field of the header, or nothing.
    """
    return {"enrolled": [list(each) for each in enrolled]} if enrolled else {}


def parse_enrolled(header: Map, file: str) -> tuple[Enrolled, ...]:
    """Read who enrolled from a header.

    Args:
        header: The header.
        file: The file, for errors.

    Returns:
        Who did.

    Raises:
        FormatError: The list is malformed, out of order, or has one twice.
    """
    found = []
    for item in header.get("enrolled", []):
        match item:
            case [str(party), bytes(digest)] if len(digest) == DIGEST_SIZE:
                found.append(Enrolled(party, digest))
            case _:
                raise FormatError(f"{file}: its list of those who enrolled is malformed")
    names = [each.party for each in found]
    if names != sorted(set(names)) or ("enrolled" in header) != bool(found):
        raise FormatError(f"{file}: its list of those who enrolled is out of order")
    return tuple(found)
