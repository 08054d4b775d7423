"""A party's part in a round: to enroll, to train, to fix its update, and to hand it in."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hecli.errors import HecliError, UnreachableError
from hecli.formats.reader import open_reader
from hecli.formats.text import count, percent
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.privacy.account import Spending
from hecli.privacy.guarantee import RECORD
from hecli.rounds.encrypt import encrypt
from hecli.rounds.enroll import enroll as write_enrollment
from hecli.rounds.residual import Feedback, kept_in
from hecli.training.compressing import basis_of
from hecli.training.files import digest_in
from hecli.training.fixing import Fixed, training_command
from hecli.training.history import Round
from hecli.training.own import FIXED, RESIDUAL, UPDATE
from hecli.training.session import KEPT_DIGITS, Session, open_listed


def enroll(session: Session, round_: Round, plan: Plan) -> None:
    """Enroll in a round with masks.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.

    Raises:
        RefusedError: The party could not go on: it has no training command.
    """
    training_command(session)
    kept = session.kept(round_, ".enroll")
    if not kept.exists():
        with session.own.store.create(str(kept), secret=True) as out:
            write_enrollment(out, plan, session.identity)
    session.publish(round_, session.file(session.name, ".enroll"), kept)


def contribute(session: Session, round_: Round, plan: Plan, enrolled: Link | None, fixed: Fixed) -> str:
    """Encrypt an update, unless that was done, and hand it in.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.
        enrolled: The entry that says who enrolled, where parties may drop out.
        fixed: The update.

    Returns:
        What was done.

    Raises:
        HecliError: It cannot be sent.
    """
    # Before anything leaves this machine: no later run may send another about this model.
    session.secrets.sent(plan.subject, fixed.digest)
    kept = session.kept(round_, ".enc")
    if not kept.exists():
        _encrypt(session, round_, plan, enrolled, fixed, kept)
    session.publish(round_, session.file(session.name, ".enc"), kept)
    size = kept.stat().st_size
    return f"round {round_.number}: handed in {size:,} bytes"


def is_mine(session: Session, round_: Round, file: str) -> bool:
    """Tell whether a file is this party's own of a round: anybody can put something there under its name.

    Args:
        session: The party's run.
        round_: The round.
        file: The file's name.

    Returns:
        Whether the party signed it for the round.
    """
    try:
        with session.opened(round_, file) as stream:
            return signer_of(open_reader(stream), round_.digest) == session.identity.card
    except UnreachableError:
        raise
    except HecliError:
        return False


def handed_in(session: Session, round_: Round) -> bytes | None:
    """Give the digest of the update that was encrypted here for a round.

    Args:
        session: The party's run.
        round_: The round.

    Returns:
        The digest; None where there is none.
    """
    try:
        return digest_in(session.kept(round_, ".enc"))
    except FileNotFoundError:
        return None


def elsewhere(session: Session, rounds: Sequence[Round], number: int, model: bytes) -> str | None:
    """Tell whether an update about a model was sent by another run, of which nothing is here.

    Args:
        session: The party's run.
        rounds: All attempts at rounds.
        number: The number of the round.
        model: The digest of the model.

    Returns:
        Why the round must be left alone; None where it need not.
    """
    if session.own.read(session.own.path(number, FIXED)) is not None or session.settings.again:
        return None
    if session.secrets.was_sent(model):
        return "an update about this model was sent before, in this training or in another"
    file = session.file(session.name, ".enc")
    for each in rounds:
        listed = any(name == file for link in each.closed for name, _ in link.entry.files)
        if each.number == number and (listed or is_mine(session, each, file)):
            return "an update about this model was sent from another machine"
    return None


def check_account(session: Session, spent: Sequence[Spending]) -> None:
    """Refuse an account that lacks updates of this party: it is an earlier one, or of another machine.

    What lies in the shared folder counts as far as this party signed it, for
    nobody else could; and what lies in its own.

    Args:
        session: The party's run.
        spent: What the account says.

    Raises:
        HecliError: It lacks some.
    """
    if session.training.privacy is None:
        return
    known = {each.plan.hex()[:KEPT_DIGITS] for each in spent}
    made = {path.stem for path in session.own.root.glob("round-*/*.enc")}
    file = session.file(session.name, ".enc")
    rounds = session.look().rounds if session.may("update") else ()
    made |= {each.digest.hex()[:KEPT_DIGITS] for each in rounds if is_mine(session, each, file)}
    if lacking := made - known:
        raise HecliError(
            f"the account of {session.name} lacks {count(len(lacking), 'update')} of this training",
            "restore the .spent file beside the identity, from the machine that sent them",
        )


def _encrypt(
    session: Session, round_: Round, plan: Plan, enrolled: Link | None, fixed: Fixed, target: Path
) -> None:
    def masked(subject: bytes, _: bytes) -> None:
        # The same update under new masks shows nothing new; another would.
        session.secrets.masked(subject, fixed.digest)

    with ExitStack() as stack:
        enrollments = [] if enrolled is None else open_listed(session, stack, round_, enrolled.entry.files)
        source = stack.enter_context(session.own.path(round_.number, UPDATE).open("rb"))
        # The residual is there before the update is: of one that is lost, nothing is.
        out = stack.enter_context(session.own.store.create(str(target), secret=True))
        feedback = _feedback(session, plan, stack)
        made = encrypt(
            source,
            out,
            session.public_key(),
            plan=plan,
            identity=session.identity,
            record=masked,
            enrollments=enrollments,
            weight=fixed.weight,
            basis=basis_of(session, plan),
            feedback=feedback,
            account=session.secrets.account,
            work=session.settings.work,
        )
    for name, clipped in made.update.clipped_in.items():
        share = clipped / next(plan.codec.coded(spec) for spec in plan.tensors if spec.name == name)
        if share >= 0.01:
            session.say(f"round {round_.number}: {percent(share)} of {name} was clipped here")


def _feedback(session: Session, plan: Plan, stack: ExitStack) -> Feedback | None:
    """Where what does not get through is kept, in a round that compresses."""
    # What is plain would show what is left of the rest.
    if not plan.codec.steps or not plan.codec.feeds_back or plan.plain:
        return None
    # Of records, one may be in no more than one update.
    if plan.privacy is not None and plan.privacy.unit == RECORD:
        return None
    return stack.enter_context(kept_in(session.own.store, str(session.own.root / RESIDUAL)))
