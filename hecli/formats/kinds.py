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
        missing: How to get one.
        instead: What to do about one that stands where a file of another kind belongs.
    """

    name: str
    signed: bool = False
    secret: bool = False
    makers: str | None = None
    duty: str = ""
    missing: str | None = None
    instead: str | None = None

    @property
    def with_article(self) -> str:
        """The kind as an error names it."""
        if self.name == "tensors":
            return "a tensor file"
        return f"a{'n' if self.name[0] in 'aeio' or self.name == 'update' else ''} {self.name} file"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("public key", instead="pass the .key file that stands beside it"),
        Kind("private key", secret=True, instead="pass the .pub file that stands beside it"),
        Kind("share", secret=True, missing="pass a .share file"),
        Kind("identity", secret=True, instead="pass the .card file that stands beside it"),
        Kind("card", signed=True, instead="pass the .id file that stands beside it"),
        Kind("training", signed=True, missing="begin one with hecli start"),
        Kind("plan", signed=True),
        Kind("encoded", instead="encrypt it first: hecli encrypt"),
        Kind(
            "enrollment",
            signed=True,
            makers="parties",
            duty="enroll",
            missing="make one with hecli enroll",
        ),
        Kind("update", signed=True, makers="parties", duty="send an update"),
        Kind("aggregate", signed=True, makers="aggregators", duty="aggregate"),
        Kind(
            "attestation",
            signed=True,
            duty="attest",
            missing="make one with hecli verify --attest",
        ),
        Kind(
            "answer",
            signed=True,
            makers="parties",
            duty="answer",
            missing="make one with hecli answer",
        ),
        Kind(
            "partial",
            signed=True,
            makers="keyholders",
            duty="make a partial",
            missing="make one with hecli partial",
        ),
        Kind(
            "sum",
            signed=True,
            makers="keyholders",
            duty="open sums",
            missing="open an aggregate first: hecli decrypt",
            instead="a sum is opened already; aggregate the updates it came from",
        ),
        Kind("tensors"),
        Kind("use record"),
        Kind("checkpoint"),
        Kind("entry", signed=True),
    )
}
"""All kinds, by the name in the prelude."""
