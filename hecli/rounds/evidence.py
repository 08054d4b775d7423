"""What shows, before an aggregate is opened, that it was made of its parties' own updates."""

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from hecli.errors import RefusedError
from hecli.executors.interface import Executor
from hecli.formats.reader import Reader
from hecli.formats.text import count
from hecli.plan.extent import Extent
from hecli.rounds.attest import check_attested
from hecli.rounds.headers import Blocks
from hecli.rounds.progress import Progress
from hecli.rounds.verify_aggregate import check_recomputed

LEAST_ATTESTED = 2
"""One member alone could be the one that wants to see another's update."""


class Evidence(NamedTuple):
    """What shows what an aggregate was made of: one of these.

    Args:
        updates: The updates of all parties in the aggregate, each with its proofs.
        attested: How many members' word that they have checked the updates is enough.
        attestations: Then their attestations.
        unverified: Whether to open without any.
        checked: Whether whoever opens had the updates checked before, part by part.
    """

    updates: Sequence[BinaryIO] | None = None
    attested: int | None = None
    attestations: Sequence[BinaryIO] = ()
    unverified: bool = False
    checked: bool = False

    def check(
        self,
        reader: Reader,
        blocks: Blocks,
        *,
        verified_only: bool,
        agreed: bool,
        extent: Extent,
        work: Executor,
        progress: Progress,
    ) -> None:
        """Refuse to open an aggregate of which nothing shows what it was made of.

        Paillier can be computed with: what opens to a mean may be one party's
        update, made of others' ciphertexts by one who knows none of them. Only
        the proofs in all updates, and that nothing else was multiplied in,
        speak against it.

        Args:
            reader: The opened aggregate.
            blocks: What it says of itself.
            verified_only: Whether the key opens nothing without evidence.
            agreed: Whether its plan is one that was given, not the one it carries.
            extent: What of it is opened, beside the control block.
            work: Who works.
            progress: Told how many blocks are checked, and of how many.

        Raises:
            FormatError: A file is not sound, or a proof does not hold.
            MismatchError: The aggregate is something else than the product of the updates.
            RefusedError: There is no evidence, or not enough.
        """
        if self.checked:
            return
        given = self.updates is not None, self.attested is not None, self.unverified
        if given.count(True) > 1 or (self.attestations and self.attested is None):
            raise RefusedError(
                "an aggregate is opened with updates, with attestations, or unverified",
                "pass one of the three; attestations with how many are enough",
            )
        if self.updates is not None:
            check_recomputed(reader, blocks, self.updates, extent.to_open, work, progress)
        elif self.attested is not None:
            if self.attested < LEAST_ATTESTED:
                raise RefusedError(
                    f"{count(self.attested, 'attestation')} cannot be enough",
                    f"ask for {LEAST_ATTESTED} or more: one member alone may be the dishonest one",
                )
            if not agreed:
                raise RefusedError(
                    "attestations count under a plan that is known, not under the one a file carries",
                    "pass --plan and --coordinator",
                )
            check_attested(reader, blocks, self.attestations, self.attested)
        elif not self.unverified:
            raise RefusedError(
                f"nothing shows what {reader.name} was made of",
                "pass the updates of all its parties with --from",
            )
        elif verified_only:
            raise RefusedError(
                f"the key opens only what was verified, and nothing shows what {reader.name} was made of",
                "leave out --unverified, with the updates beside it or in --from; "
                "hecli keygen --allow-unverified makes a key for trials",
            )
