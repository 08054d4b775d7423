"""What stays closed against a quantum computer, and by which assumption.

Whoever copies files today may open them when a large quantum computer exists.
Paillier falls to factoring, X25519 to discrete logarithms. Masks stay on: they
follow from secrets that were sent under ML-KEM-768 (FIPS 203). Signatures need
not outlast the round, in which they say who takes part: forging one later opens
nothing and changes no sum that was taken.
"""

from hecli.schemes.interface import Scheme

TITLE = "quantum"
CLOSED = "values stay closed, by ML-KEM-768; signatures (Ed25519) need not"
OPEN = "values do not stay closed: Paillier alone, without masks"
PARTLY = "under masks values stay closed, by ML-KEM-768; under the key not"
KEY = "under this key alone, without masks, nothing stays closed"
CARD = "what is sealed to it stays closed, by ML-KEM-768"


def stays_closed(scheme: Scheme) -> bool:
    """Tell whether all that a scheme hides stays hidden from a quantum computer.

    Args:
        scheme: The scheme.

    Returns:
        Whether masks cover it.
    """
    return scheme.masking is not None


def quantum_line(scheme: Scheme, *, masked: bool) -> tuple[str, str]:
    """Say what of a round stays closed, for people.

    Args:
        scheme: What hides most of it.
        masked: Whether a part travels under masks alone.

    Returns:
        A title, and the text.
    """
    if stays_closed(scheme):
        return TITLE, CLOSED
    return TITLE, PARTLY if masked else OPEN
