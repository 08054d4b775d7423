"""Encrypted averaging in plain files: what the commands do, for Python.

Every function takes paths or binary streams; those for tensors also take a
mapping of names to arrays. All errors are `HecliError`s; a wrong type is a
`TypeError`.

    import hecli

    key = hecli.keygen()
    for party, grads in updates.items():
        hecli.encrypt(grads, f"{party}.enc", key.public, party=party)
    files = [f"{party}.enc" for party in updates]
    hecli.aggregate(files, "round.agg")
    hecli.decrypt("round.agg", "round.sum", key, updates=files)
    mean = hecli.mean("round.sum")

Names are imported when they are first used, so that importing hecli costs
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecli.api import (
        aggregate,
        answer,
        apply,
        attest,
        combine,
        decrypt,
        encode,
        encrypt,
        enroll,
        inspect,
        join,
        make_basis,
        make_plan,
        mean,
        next_model,
        next_plan,
        partial,
        plain_by_sensitivity,
        read_basis,
        read_card,
        read_identity,
        read_jwk,
        read_plan,
        read_private_key,
        read_public_key,
        read_share,
        settle,
        spending,
        verify,
        verify_aggregate,
        verify_slice,
        verify_sum,
        write_card,
        write_identity,
        write_jwk,
        write_plan,
        write_private_key,
        write_public_key,
        write_share,
    )
    from hecli.errors import HecliError
    from hecli.identity.cards import Card
    from hecli.identity.roster import Roster
    from hecli.identity.signatures import Identity
    from hecli.plan.data import Plan
    from hecli.privacy.choosing import Asked
    from hecli.schemes.masks.masking import Masking
    from hecli.schemes.masks.scheme import Masks
    from hecli.schemes.paillier.dealing import deal
    from hecli.schemes.paillier.key_files import Share
    from hecli.schemes.paillier.keys import PrivateKey, PublicKey, keygen
    from hecli.schemes.paillier.scheme import Paillier

__version__ = "0.1.0"

__all__ = [
    "Asked",
    "Card",
    "HecliError",
    "Identity",
    "Masking",
    "Masks",
    "Paillier",
    "Plan",
    "PrivateKey",
    "PublicKey",
    "Roster",
    "Share",
    "__version__",
    "aggregate",
    "answer",
    "apply",
    "attest",
    "combine",
    "deal",
    "decrypt",
    "encode",
    "encrypt",
    "enroll",
    "inspect",
    "join",
    "keygen",
    "make_basis",
    "make_plan",
    "mean",
    "next_model",
    "next_plan",
    "partial",
    "plain_by_sensitivity",
    "read_basis",
    "read_card",
    "read_identity",
    "read_jwk",
    "read_plan",
    "read_private_key",
    "read_public_key",
    "read_share",
    "settle",
    "spending",
    "verify",
    "verify_aggregate",
    "verify_slice",
    "verify_sum",
    "write_card",
    "write_identity",
    "write_jwk",
    "write_plan",
    "write_private_key",
    "write_public_key",
    "write_share",
]

_HOMES = {
    "Asked": "privacy.choosing",
    "Card": "identity.cards",
    "HecliError": "errors",
    "Identity": "identity.signatures",
    "Masking": "schemes.masks.masking",
    "Masks": "schemes.masks.scheme",
    "Paillier": "schemes.paillier.scheme",
    "Plan": "plan.data",
    "PrivateKey": "schemes.paillier.keys",
    "PublicKey": "schemes.paillier.keys",
    "Roster": "identity.roster",
    "Share": "schemes.paillier.key_files",
    "deal": "schemes.paillier.dealing",
    "keygen": "schemes.paillier.keys",
}
"""Where names are that are not in `hecli.api`."""


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
    # Found at once the next time.
    globals()[name] = value
    return value
