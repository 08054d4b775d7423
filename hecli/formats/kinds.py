"""The kinds of file there are, in one table."""

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of file.

    Args:
        name: Its name in the prelude.
        signed: Whether it may be signed.
        secret: Whether it holds a secret, so that even its digest is not shown.
        makers: Which of a roster's lists may make it; any member where it is None.
        duty: What making one is called in an error.
        missing: How to get one, where a file that stands in its place cannot be made into one.
        instead: What to do about one that stands where a file of another kind belongs.
    """

    name: str
    signed: bool = False
    secret: bool = False
    makers: str | None = None
    duty: str = ""
    missing: str | None = None
    instead: str = ""

    @property
    def with_article(self) -> str:
        """The kind as an error names it."""
        if self.name == "tensors":
            return "a tensor file"
        return f"a{'n' if self.name[0] in 'aeio' or self.name == 'update' else ''} {self.name} file"


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "public key",
            missing="pass a .pub file, which hecli keygen makes",
            instead="a public key goes with --key",
        ),
        Kind(
            "private key",
            secret=True,
            missing="pass a .key file, which hecli keygen makes",
            instead="a private key goes with --key, where sums are opened",
        ),
        Kind(
            "share",
            secret=True,
            missing="pass a .share file",
            instead="a share goes with hecli partial --share",
        ),
        Kind(
            "identity",
            secret=True,
            missing="pass an .id file, which hecli keygen --identity makes",
            instead="an identity goes with --identity",
        ),
        Kind(
            "card",
            signed=True,
            missing="pass a .card file, which hecli keygen --identity makes",
            instead="a card goes with hecli plan --party, or with --coordinator",
        ),
        Kind(
            "training",
            signed=True,
            missing="begin one with hecli start",
            instead="terms of a training stay in its folder: hecli run, hecli status",
        ),
        Kind(
            "plan",
            signed=True,
            missing="pass a .plan file, which hecli plan makes",
            instead="a plan goes with --plan",
        ),
        Kind(
            "basis",
            missing="pass the .basis file that hecli plan made with the plan",
            instead="a basis goes with --basis",
        ),
        Kind("encoded", instead="encrypt it first: hecli encrypt"),
        Kind(
            "enrollment",
            signed=True,
            makers="parties",
            duty="enroll",
            missing="make one with hecli enroll",
            instead="enrollments go with --enroll",
        ),
        Kind(
            "update",
            signed=True,
            makers="parties",
            duty="send an update",
            instead="an update is encrypted already: hecli aggregate takes it",
        ),
        Kind(
            "aggregate",
            signed=True,
            makers="aggregators",
            duty="aggregate",
            instead="an aggregate is encrypted already: hecli decrypt opens it",
        ),
        Kind(
            "attestation",
            signed=True,
            duty="attest",
            missing="make one with hecli verify --attest",
            instead="attestations go with --attestations",
        ),
        Kind(
            "answer",
            signed=True,
            makers="parties",
            duty="answer",
            missing="make one with hecli answer",
            instead="answers go with --answers",
        ),
        Kind(
            "partial",
            signed=True,
            makers="keyholders",
            duty="make a partial",
            missing="make one with hecli partial",
            instead="partials go behind their aggregate: hecli combine",
        ),
        Kind(
            "sum",
            signed=True,
            makers="keyholders",
            duty="open sums",
            missing="open an aggregate first: hecli decrypt",
            instead="a sum is opened already: hecli apply takes it",
        ),
        Kind(
            "slice",
            signed=True,
            missing="make one with --part",
            instead="slices become a whole file with hecli join",
        ),
        Kind(
            "residual",
            secret=True,
            missing="hecli encrypt --residual makes one where there is none",
            instead="a residual goes with --residual",
        ),
        Kind("tensors", instead="encrypt it first: hecli encrypt"),
        Kind("use record", instead="it says what a secret was used for: leave it beside the secret"),
        Kind(
            "account",
            signed=True,
            missing="pass an .id file, or its .spent file",
            instead="it says what privacy was spent: hecli privacy shows it",
        ),
        Kind("checkpoint", instead="it says how far ledgers were checked: leave it beside the identity"),
        Kind("entry", signed=True, instead="it belongs to a ledger: hecli ledger show"),
    )
}
"""All kinds, by the name in the prelude."""

RECORDS = frozenset({"account", "use record", "checkpoint"})
"""What says what was done with a secret or an identity: without it, it could be done again."""

PAIRS = {
    ("private key", "public key"): "pass the .pub file that stands beside it",
    ("public key", "private key"): "pass the .key file that stands beside it",
    ("identity", "card"): "pass the .card file that stands beside it",
    ("card", "identity"): "pass the .id file that stands beside it",
    ("share", "private key"): "a key in shares opens with hecli partial, then hecli combine",
    ("update", "sum"): "aggregate it with the others', then open that: hecli aggregate, hecli decrypt",
}
"""What to do about a file of the one kind where one of the other belongs, in place of the general hints."""


def instead(found: str, wanted: str) -> str:
    """Say what to do about a file that stands where one of another kind belongs.

    Args:
        found: Its kind.
        wanted: The kind that belongs there.

    Returns:
        The hint.
    """
    return PAIRS.get((found, wanted)) or KINDS[wanted].missing or KINDS[found].instead
