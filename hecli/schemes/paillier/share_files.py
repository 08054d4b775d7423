"""Keys dealt in shares: what everybody may know of the dealing, and the share files."""

from dataclasses import dataclass
from typing import NamedTuple

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, digest_of, fields, pack
from hecli.formats.cards import Card
from hecli.formats.envelope import DIGEST_SIZE, Reader
from hecli.identity.passphrase import check_sealed, seal, unseal
from hecli.schemes.paillier.key_files import int_bytes, parse_int

SHARE_LIMIT = 4096
"""Bytes of a share: twice those of the longest modulus."""


class Dealing(NamedTuple):
    """How a key was dealt: how many shares open, and the numbers that proofs are checked with."""

    threshold: int
    v: int
    keys: tuple[int, ...]

    def pack(self) -> Map:
        """The dealing as it stands in a header."""
        return {"threshold": self.threshold, "v": int_bytes(self.v), "keys": [*map(int_bytes, self.keys)]}

    @classmethod
    def parse(cls, value: object, file: str) -> "Dealing":
        """The dealing in a header; raises FormatError."""
        fields(value, file, "its dealing", {"threshold": int, "v": bytes, "keys": list})
        assert isinstance(value, dict)
        if not all(isinstance(key, bytes) for key in value["keys"]):
            raise FormatError(f"{file}: its dealing is malformed")
        numbers = [parse_int(each, file, SHARE_LIMIT) for each in (value["v"], *value["keys"])]
        return cls(value["threshold"], numbers[0], tuple(numbers[1:]))

    def digest(self, n: int) -> bytes:
        """What stands for a key and its dealing in a plan."""
        return digest_of("dealing", pack({"n": int_bytes(n), **self.pack()}))


class Opens(NamedTuple):
    """How many of how many shares open, as a plan says it, and the digest of the dealing."""

    threshold: int
    shares: int
    dealing: bytes

    def pack(self) -> Map:
        """As it stands in a plan."""
        return self._asdict()

    @classmethod
    def parse(cls, value: object, file: str) -> "Opens":
        """From a plan; raises FormatError."""
        fields(value, file, "its threshold", {"threshold": int, "shares": int, "dealing": bytes})
        assert isinstance(value, dict)
        if not 2 <= value["threshold"] <= value["shares"] or len(value["dealing"]) != DIGEST_SIZE:
            raise FormatError(f"{file}: its threshold cannot be")
        return cls(**value)


@dataclass(frozen=True, repr=False)
class ShareFile:
    """A share: bare, under a passphrase, or sealed to a card."""

    n: int
    dealing: Dealing
    index: int
    share: int | None
    sealed: Map | None = None
    card: Card | None = None
    box: bytes | None = None

    @property
    def context(self) -> bytes:
        """What a sealed share is bound to."""
        return pack([self.dealing.digest(self.n), self.index])

    @property
    def width(self) -> int:
        """Bytes of a sealed share: those of n squared."""
        return 2 * len(int_bytes(self.n))

    def header(self) -> Map:
        """The header map of the file."""
        header: Map = {"n": int_bytes(self.n), "dealing": self.dealing.pack(), "index": self.index}
        if self.share is not None:
            return header | {"share": int_bytes(self.share)}
        if self.sealed is not None:
            return header | {"sealed": self.sealed}
        return header | {"card": list(self.card or ()), "box": self.box}

    @classmethod
    def parse(cls, reader: Reader) -> "ShareFile":
        """Read the file without opening a sealed share; raises FormatError."""
        reader.require("share", hint="pass a .share file")
        reader.require_body(0, 0)
        header, name = reader.header, reader.name
        own: dict[str, type | tuple[type, ...]] = {"share": bytes}
        if "sealed" in header:
            own = {"sealed": dict}
        elif "box" in header:
            own = {"card": list, "box": bytes}
        fields(header, name, "its header", {"n": bytes, "dealing": dict, "index": int, **own})
        dealing = Dealing.parse(header["dealing"], name)
        if not 1 <= header["index"] <= len(dealing.keys):
            raise FormatError(f"{name}: is share {header['index']} of {len(dealing.keys)}")
        if "sealed" in header:
            check_sealed(header["sealed"], name)
        return cls(
            n=parse_int(header["n"], name),
            dealing=dealing,
            index=header["index"],
            share=parse_int(header["share"], name, SHARE_LIMIT) if "share" in header else None,
            sealed=header.get("sealed"),
            card=Card.parse(header["card"], name) if "card" in header else None,
            box=header.get("box"),
        )

    def seal(self, passphrase: str) -> Map:
        """The share under a passphrase."""
        return seal((self.share or 0).to_bytes(self.width, "big"), passphrase, self.context)

    def unseal(self, passphrase: str, name: str) -> int:
        """The share; raises HecliError where the passphrase is wrong."""
        if self.sealed is None:
            raise HecliError(f"{name}: has no passphrase")
        opened = unseal(self.sealed, passphrase, self.context, self.width, name)
        return int.from_bytes(opened, "big")
