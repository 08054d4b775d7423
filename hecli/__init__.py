"""Encrypted averaging in plain files: what the commands do, for Python.

Every function takes and gives binary streams; those it reads must be
seekable. All errors are `HecliError`s.

    import hecli

    key = hecli.keygen()
    with open("grads.npz", "rb") as grads, open("grads.enc", "wb") as out:
        hecli.encrypt(grads, out, key.public)

Names are imported when they are first used, so that importing hecli costs
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecli.errors import HecliError
    from hecli.formats.cards import Card
    from hecli.identity.people import read_card, read_identity, write_card, write_identity
    from hecli.identity.roster import Roster
    from hecli.identity.signatures import Identity
    from hecli.plan.data import Plan
    from hecli.plan.files import read_plan, write_plan
    from hecli.rounds.aggregate import aggregate
    from hecli.rounds.apply import apply
    from hecli.rounds.decrypt import decrypt
    from hecli.rounds.encode import encode
    from hecli.rounds.encrypt import encrypt
    from hecli.rounds.inspect import inspect
    from hecli.rounds.keys import (
        keygen,
        read_jwk,
        read_private_key,
        read_public_key,
        write_jwk,
        write_private_key,
        write_public_key,
    )
    from hecli.rounds.plan import make_plan
    from hecli.rounds.recompute import verify_aggregate
    from hecli.rounds.verify import verify
    from hecli.schemes.paillier.keys import PrivateKey, PublicKey

__version__ = "0.1.0"

__all__ = [
    "Card",
    "HecliError",
    "Identity",
    "Plan",
    "PrivateKey",
    "PublicKey",
    "Roster",
    "__version__",
    "aggregate",
    "apply",
    "decrypt",
    "encode",
    "encrypt",
    "inspect",
    "keygen",
    "make_plan",
    "read_card",
    "read_identity",
    "read_jwk",
    "read_plan",
    "read_private_key",
    "read_public_key",
    "verify",
    "verify_aggregate",
    "write_card",
    "write_identity",
    "write_jwk",
    "write_plan",
    "write_private_key",
    "write_public_key",
]

_HOMES = {
    "Card": "formats.cards",
    "HecliError": "errors",
    "Identity": "identity.signatures",
    "Plan": "plan.data",
    "PrivateKey": "schemes.paillier.keys",
    "PublicKey": "schemes.paillier.keys",
    "Roster": "identity.roster",
    "aggregate": "rounds.aggregate",
    "apply": "rounds.apply",
    "decrypt": "rounds.decrypt",
    "encode": "rounds.encode",
    "encrypt": "rounds.encrypt",
    "inspect": "rounds.inspect",
    "keygen": "rounds.keys",
    "make_plan": "rounds.plan",
    "read_card": "identity.people",
    "read_identity": "identity.people",
    "read_jwk": "rounds.keys",
    "read_plan": "plan.files",
    "read_private_key": "rounds.keys",
    "read_public_key": "rounds.keys",
    "verify": "rounds.verify",
    "verify_aggregate": "rounds.recompute",
    "write_card": "identity.people",
    "write_identity": "identity.people",
    "write_jwk": "rounds.keys",
    "write_plan": "plan.files",
    "write_private_key": "rounds.keys",
    "write_public_key": "rounds.keys",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    # Found at once the next time.
    globals()[name] = value
    return value
