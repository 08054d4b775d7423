"""All schemes, by the name in a plan."""

from hecli.errors import FormatError
from hecli.formats.canonical import Map
from hecli.schemes.interface import Carrier, Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.scheme import Paillier
from hecli.schemes.plain.scheme import Plain
from hecli.schemes.round import PublicKey

SCHEMES: dict[str, type[Scheme]] = {scheme.name: scheme for scheme in (Paillier, Masks)}

IN_THE_CLEAR: Carrier = Plain()
"""What the lanes of a round travel under that everybody may read."""


def under_masks(masking: Masking) -> Carrier:
    """Give what the lanes of a round travel under that are hidden by masks alone.

    Args:
        masking: How.

    Returns:
        It.
    """
    return Masks(masking)


def parse_scheme(value: Map, file: str) -> Scheme:
    """Read the scheme of a plan; one that nobody knows is refused, never taken for another.

    Args:
        value: What stands in the plan.
        file: The file, for errors.

    Returns:
        The scheme.

    Raises:
        FormatError: It is unknown, or not sound.
    """
    name = value.get("name")
    if name is None:
        raise FormatError(f"{file}: its scheme has no field 'name'")
    if not isinstance(name, str) or name not in SCHEMES:
        raise FormatError(
            f"{file}: its plan has the unknown scheme {str(name)[:64]!r}", "a newer hecli may know it"
        )
    return SCHEMES[name].parse(value, file)


def scheme_of(key: PublicKey) -> Scheme:
    """Give the scheme of rounds under a key that nobody made a plan for.

    Args:
        key: The key.

    Returns:
        The scheme.
    """
    return SCHEMES[key.scheme].of_key(key)
