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
    from hecli.crypto.paillier import PrivateKey, PublicKey
    from hecli.errors import HecliError
    from hecli.formats.cards import Card
    from hecli.identity import Identity
    from hecli.pipeline.aggregate import aggregate  # noqa: TID251
    from hecli.pipeline.apply import apply  # noqa: TID251
    from hecli.pipeline.decrypt import decrypt  # noqa: TID251
    from hecli.pipeline.encode import encode  # noqa: TID251
    from hecli.pipeline.encrypt import encrypt  # noqa: TID251
    from hecli.pipeline.identities import read_card, read_identity, write_card, write_identity  # noqa: TID251
    from hecli.pipeline.inspect import inspect  # noqa: TID251
    from hecli.pipeline.keys import (  # noqa: TID251
        keygen,
        read_jwk,
        read_private_key,
        read_public_key,
        write_jwk,
        write_private_key,
        write_public_key,
    )
    from hecli.pipeline.planning import make_plan  # noqa: TID251
    from hecli.pipeline.plans import read_plan, write_plan  # noqa: TID251
    from hecli.pipeline.recompute import verify_aggregate  # noqa: TID251
    from hecli.pipeline.verify import verify  # noqa: TID251
    from hecli.plan import Plan
    from hecli.roster import Roster

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
    "Identity": "identity",
    "Plan": "plan",
    "PrivateKey": "crypto.paillier",
    "PublicKey": "crypto.paillier",
    "Roster": "roster",
    "aggregate": "pipeline.aggregate",
    "apply": "pipeline.apply",
    "decrypt": "pipeline.decrypt",
    "encode": "pipeline.encode",
    "encrypt": "pipeline.encrypt",
    "inspect": "pipeline.inspect",
    "keygen": "pipeline.keys",
    "make_plan": "pipeline.planning",
    "read_card": "pipeline.identities",
    "read_identity": "pipeline.identities",
    "read_jwk": "pipeline.keys",
    "read_plan": "pipeline.plans",
    "read_private_key": "pipeline.keys",
    "read_public_key": "pipeline.keys",
    "verify": "pipeline.verify",
    "verify_aggregate": "pipeline.recompute",
    "write_card": "pipeline.identities",
    "write_identity": "pipeline.identities",
    "write_jwk": "pipeline.keys",
    "write_plan": "pipeline.plans",
    "write_private_key": "pipeline.keys",
    "write_public_key": "pipeline.keys",
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
