"""Identity files, secret, and card files, public."""

from dataclasses import dataclass

from hecli.errors import HecliError
from hecli.formats.canonical import Map, fields, pack
from hecli.formats.cards import KEY_SIZE, Card
from hecli.formats.envelope import Reader
from hecli.identity.passphrase import check_sealed, seal, unseal


def card_header(card: Card) -> Map:
    """The header of a card file."""
    return {"card": list(card)}


def parse_card(reader: Reader) -> Card:
    """The card in a card file; raises FormatError."""
    hint = "pass the .card file that stands beside it" if reader.kind == "identity" else None
    reader.require("card", hint=hint)
    reader.require_body(0, 0)
    fields(reader.header, reader.name, "its header", {"card": list})
    return Card.parse(reader.header["card"], reader.name)


@dataclass(frozen=True, repr=False)
class IdentityFile:
    """An identity file: the card, and the secrets of its two keys, sealed or not."""

    card: Card
    secrets: tuple[bytes, bytes] | None
    sealed: Map | None

    def header(self) -> Map:
        """The header map of the file."""
        if self.secrets is not None:
            sign, agree = self.secrets
            return {"card": list(self.card), "sign": sign, "agree": agree}
        return {"card": list(self.card), "sealed": self.sealed}

    @classmethod
    def parse(cls, reader: Reader) -> "IdentityFile":
        """Read the file without opening sealed secrets; raises FormatError."""
        hint = "pass the .id file that stands beside it" if reader.kind == "card" else None
        reader.require("identity", hint=hint)
        reader.require_body(0, 0)
        header, name = reader.header, reader.name
        if "sealed" in header:
            fields(header, name, "its header", {"card": list, "sealed": dict})
            check_sealed(header["sealed"], name)
            return cls(Card.parse(header["card"], name), None, header["sealed"])
        fields(header, name, "its header", {"card": list, "sign": bytes, "agree": bytes})
        return cls(Card.parse(header["card"], name), (header["sign"], header["agree"]), None)

    def seal(self, passphrase: str) -> "IdentityFile":
        """The same identity with its secrets under a passphrase."""
        if self.secrets is None:
            return self
        sealed = seal(b"".join(self.secrets), passphrase, pack(list(self.card)))
        return IdentityFile(self.card, None, sealed)

    def open(self, passphrase: str, name: str) -> tuple[bytes, bytes]:
        """The secrets; raises HecliError where the passphrase is wrong."""
        if self.sealed is None:
            raise HecliError(f"{name}: has no passphrase")
        opened = unseal(self.sealed, passphrase, pack(list(self.card)), 2 * KEY_SIZE, name)
        return opened[:KEY_SIZE], opened[KEY_SIZE:]
