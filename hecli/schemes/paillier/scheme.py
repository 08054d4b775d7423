"""The scheme `paillier`: plaintexts under one key, which one party holds or several hold in shares."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self

from hecli.arithmetic import engines, sizes
from hecli.errors import HecliError, MismatchError, RefusedError
from hecli.executors.interface import Executor, Run
from hecli.formats.canonical import Map, fields
from hecli.formats.numbers import int_bytes, parse_int
from hecli.formats.reader import Reader
from hecli.identity.roster import Roster
from hecli.identity.sealing import Ask
from hecli.schemes import interface
from hecli.schemes.masks.masking import Masking
from hecli.schemes.paillier.correctness import CorrectDecryption
from hecli.schemes.paillier.key_files import read_private_key, read_public_key
from hecli.schemes.paillier.keys import RANDOMNESS, PrivateKey, PublicKey, fingerprint_of
from hecli.schemes.paillier.sharing import Shared
from hecli.schemes.proofs import GroupProofs, numbered
from hecli.schemes.round import Open, Opener, Opens, Round, Sender
from hecli.schemes.round import PublicKey as AnyKey


@dataclass(frozen=True)
class Paillier:
    """Paillier encryption under one key.

    Args:
        key: The public key.
        randomness: The random exponent of each ciphertext, one of RANDOMNESS.
        sharing: How the key opens, where it is in shares.
        masking: How masks hide updates from whoever opens, where they do.
    """

    name: ClassVar[str] = PublicKey.scheme

    key: PublicKey
    randomness: str = "short"
    sharing: Shared | None = None
    masking: Masking | None = None

    @classmethod
    def of(cls, key: PublicKey, randomness: str = "short", masking: Masking | None = None) -> Self:
        """Make the scheme of rounds under a key.

        Args:
            key: The key.
            randomness: One of RANDOMNESS.
            masking: The masks, if any.

        Returns:
            The scheme.
        """
        sharing = None if key.shared is None else Shared.of(key.shared)
        return cls(PublicKey(key.n), randomness, sharing, masking)

    @classmethod
    def of_key(cls, key: AnyKey) -> Self:
        """Make the scheme of rounds under a key that nobody made a plan for."""
        assert isinstance(key, PublicKey)
        return cls.of(key)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key, and of its dealing."""
        return fingerprint_of(self.key.n, self.sharing.dealing if self.sharing else None)

    @property
    def to_encrypt(self) -> frozenset[str]:
        """What encrypting takes."""
        masks = {interface.IDENTITY, interface.ENROLLMENTS} if self.masking else set()
        return frozenset({interface.KEY} | masks)

    @property
    def to_open(self) -> frozenset[str]:
        """What opening takes."""
        key = interface.KEY if self.sharing is None else interface.SHARES
        masked = self.masking is not None and self.masking.dropouts
        return frozenset({key} | ({interface.ENROLLMENTS, interface.ANSWERS} if masked else set()))

    @property
    def knowledge(self) -> GroupProofs:
        """How updates prove that their makers know what is in them."""
        n, randomness = self.key.n, self.randomness
        size = sizes.knowledge_size(n, randomness)
        return GroupProofs(size, lambda: engines.knowledge_checker(n, randomness))

    @property
    def correctness(self) -> CorrectDecryption | None:
        """How sums prove that they are what the aggregate holds; partials have proofs of their own."""
        return CorrectDecryption(self.key.n) if self.sharing is None else None

    @property
    def room(self) -> int:
        """The bits that lanes may take: a plaintext stays below n."""
        return self.key.n.bit_length() - 1

    @property
    def plaintext_size(self) -> int:
        """The bytes of a plaintext."""
        return sizes.plaintext_size(self.key.n)

    @property
    def block_size(self) -> int:
        """The bytes of a ciphertext."""
        return sizes.ciphertext_size(self.key.n)

    def to_map(self) -> Map:
        """Write the scheme as it stands in a plan."""
        value: Map = {"name": self.name, "key": int_bytes(self.key.n), "randomness": self.randomness}
        # What a round does without does not stand in its plan.
        if self.sharing is not None:
            value["opens"] = self.sharing.to_map()
        if self.masking is not None:
            value["masks"] = self.masking.to_map()
        return value

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the scheme from a plan; raises FormatError."""
        types: dict[str, type | tuple[type, ...]] = {"name": str, "key": bytes, "randomness": str}
        fields(value, file, "its scheme", types, {"opens": dict, "masks": dict})
        return cls(
            key=PublicKey(parse_int(value["key"], file)),
            randomness=value["randomness"],
            sharing=Shared.parse(value["opens"], file) if "opens" in value else None,
            masking=Masking.parse(value["masks"], file) if "masks" in value else None,
        )

    def check(self, roster: Roster | None, parties: int, fewest: int) -> None:
        """Refuse a key's size, randomness, shares or masks that cannot be; raises HecliError."""
        sizes.check_modulus_size(self.key.n)
        if self.randomness not in RANDOMNESS:
            raise HecliError(f"{self.randomness[:64]!r} is none of {', '.join(RANDOMNESS)}")
        if self.sharing is not None and (roster is None or fewest < parties):
            self.sharing.check_bound()
        if self.masking is not None:
            self.masking.check(roster, parties)

    def read_public_key(self, reader: Reader) -> PublicKey:
        """Read a public key; raises FormatError."""
        return read_public_key(reader)

    def read_private_key(self, reader: Reader, ask: Ask) -> PrivateKey:
        """Read a private key; raises HecliError."""
        return read_private_key(reader, ask)

    def check_key(self, key: AnyKey | None, file: str) -> None:
        """Refuse any key but the plan's; raises MismatchError and RefusedError."""
        if key is None:
            raise RefusedError(
                f"{file} is for a key, and none is given", "pass the key: a plan alone is not believed"
            )
        if key.fingerprint != self.fingerprint:
            raise MismatchError(
                f"{file} is under the key {self.fingerprint}, the key given is {key.fingerprint}",
                "pass the key that the plan was made with: --key",
            )

    @contextmanager
    def encrypting(self, round_: Round, sender: Sender, work: Executor) -> Iterator[Run]:
        """Get ready to mask, where there are masks, to encrypt, and to prove; raises HecliError."""
        n = self.key.n
        masks = None if self.masking is None else self.masking.masks(n, round_, sender)
        each = -(-round_.blocks // min(work.workers, round_.groups))
        engine = engines.encryptor(n, self.randomness, each, sender.statement)
        with work(engine, round_.groups) as run:
            yield lambda groups: run(
                numbered(at, group) for at, group in enumerate(groups if masks is None else masks(groups))
            )

    @contextmanager
    def adding(self, sources: int, batches: int, work: Executor) -> Iterator[Run]:
        """Get ready to multiply ciphertexts, which adds what is in them."""
        with work(engines.multiplier(self.key.n, sources), batches) as run:
            yield run

    @contextmanager
    def opening(self, round_: Round, opener: Opener, work: Executor) -> Iterator[Opens]:
        """Get ready to decrypt, and to take off what masks are left; raises HecliError."""
        if not isinstance(opener.key, PrivateKey):
            raise RefusedError("the aggregate is under a key, and none is given", "pass --key")
        with work(engines.opener(opener.key.p, opener.key.q), round_.batches) as run:

            def prove(bound: bytes, groups: Iterable[bytes]) -> bytes:
                return CorrectDecryption(self.key.n).prove(bound, groups, run)

            opened = self.unmasked(
                lambda batches, _: run(sizes.OPEN + each for each in batches), round_, opener
            )
            yield Opens(opened, prove)

    def unmasked(self, opened: Open, round_: Round, opener: Opener) -> Open:
        """Take off what masks are left; raises HecliError."""
        if self.masking is None:
            return opened
        return self.masking.unmasked(self.key.n, opened, round_, opener)

    def remasked(
        self, plaintexts: Iterable[bytes], first: int, round_: Round, opener: Opener
    ) -> Iterator[bytes]:
        """Put back what `unmasked` took off; raises HecliError."""
        if self.masking is None:
            return iter(plaintexts)
        return self.masking.remasked(self.key.n, plaintexts, first, round_, opener)

    def describe(self) -> Map:
        """Say what the scheme is, for scripts."""
        return {
            "scheme": self.name,
            "key": self.fingerprint,
            "key_bits": self.key.n.bit_length(),
            "randomness": self.randomness,
            "opens": None if self.sharing is None else [self.sharing.threshold, self.sharing.shares],
            "dropouts": None if self.masking is None else self.masking.dropouts,
        }

    def lines(self, parties: int) -> list[tuple[str, str]]:
        """Say what the scheme is, for people."""
        found = [("key", f"{self.fingerprint} ({self.key.n.bit_length()} bits)")]
        if self.sharing is not None:
            opens = f"{self.sharing.threshold} of {self.sharing.shares} shares"
            # Where two groups could open two sums, the plan lets none be opened but that of all.
            against = self.sharing.holds_against if self.sharing.bound else "every sum is that of all parties"
            found.append(("to open", f"{opens}; {against}"))
        found.append(("randomness", self.randomness))
        return found + (self.masking.lines(parties) if self.masking else [])

    def seconds(self, load: interface.Load) -> dict[str, float]:
        """Foresee what the arithmetic of each step of a round takes on this machine."""
        encrypted = load.each(load.group)
        costs = engines.measure(self.key.n, self.randomness, encrypted, load.group)
        # Whoever adds, opens or answers checks the proofs of all, and multiplies.
        add = load.each(load.group, load.parties) * costs.check + load.each(1, load.parties) * costs.multiply
        found = {"encrypt": costs.prepare + encrypted * costs.encrypt, "aggregate": add}
        if self.masking is not None and self.masking.dropouts:
            found["answer"] = add
        if self.sharing is None:
            return found | {"decrypt": add + load.each(1) * costs.decrypt + costs.prove}
        shared = load.each(self.sharing.group)
        combine = shared * self.sharing.threshold * costs.combine
        return found | {"partial": add + shared * costs.partial, "combine": combine}
