"""From the sum of a round to the next model: checked, within the member's own limits, and compared."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hecli.errors import HecliError, RefusedError
from hecli.formats.reader import Reader, open_reader
from hecli.formats.tensors.files import open_tensors
from hecli.formats.text import count, percent
from hecli.ledger.chain import Link
from hecli.rounds.apply import apply
from hecli.rounds.headers import open_sum
from hecli.rounds.ranges import steps_after
from hecli.rounds.verify_sum import verify_sum
from hecli.training.aggregating import Closed, check_aggregate, recorded
from hecli.training.closing import listed_in
from hecli.training.commands import run_command
from hecli.training.compressing import basis_of, next_basis, settle_residual
from hecli.training.contributing import handed_in
from hecli.training.deriving import coding_of
from hecli.training.files import digest_in
from hecli.training.history import Round, round_folder, said_in
from hecli.training.models import model_digest
from hecli.training.opening import made_in, summary_of
from hecli.training.own import APPLIED, SUM
from hecli.training.session import AGGREGATE_FILE, SUM_FILE, Session, placeless
from hecli.training.terms import Training

MODEL = "model.tensors"
"""What an entry calls the model after a round, of which it has the digest."""


class CheckFailedError(RefusedError):
    """The member's own check refuses a model; what it says may tell of the member's data."""


BAD_SUM = "whoever opened it published something else: ask them, and the others, before you go on"


def apply_round(session: Session, found: Closed, opened: Link) -> str:
    """Check the sum of a round, move the model, and record the digest of the next one.

    Args:
        session: The run.
        found: The round.
        opened: The entry about its sum.

    Returns:
        What was done.

    Raises:
        FormatError: The sum is false, or cannot be checked.
        RefusedError: The model is not accepted.
    """
    kept = _checked_sum(session, found, opened)
    return _moved(session, found, kept, opened)


def refuse(session: Session, found: Closed, error: HecliError) -> None:
    """Record, once, that the model after a round is refused.

    Args:
        session: The run.
        found: The round.
        error: Why.
    """
    if session.name not in found.round.refused and session.shared.exists(_path(found, SUM_FILE)):
        text = placeless(session, found.round, error.message)
        session.record("refused", plan=found.plan.digest, text=text)


def record_applied(session: Session, round_: Round, applied: dict[str, Any]) -> None:
    """Record the digest of the model after a round.

    Args:
        session: The run.
        round_: The round.
        applied: What came of it.
    """
    files = [(SUM_FILE, bytes.fromhex(applied["sum"])), (MODEL, bytes.fromhex(applied["model"]))]
    session.record("applied", plan=round_.digest, files=files)


def others_differ(round_: Round, applied: dict[str, Any]) -> list[str]:
    """Name those whose model after a round is another.

    Args:
        round_: The round.
        applied: What came of it here.

    Returns:
        Their names.
    """
    mine = bytes.fromhex(applied["model"])
    return sorted(
        name for name, link in round_.applied.items() if dict(link.entry.files).get(MODEL, mine) != mine
    )


def stop_reason(training: Training, applied: Sequence[dict[str, Any]]) -> str | None:
    """Say why a training is over, by its own rules.

    Args:
        training: The terms.
        applied: What came of the rounds.

    Returns:
        Why; None where it goes on.
    """
    goal = training.goal
    if goal is not None:
        best = best_round(training, applied)
        value = applied[-1]["metrics"].get(goal.metric) if applied else None
        if value is not None and goal.reached(value):
            return f"{goal.metric} reached {value:.4g}"
        if goal.patience and best is not None and len(applied) - best >= goal.patience:
            return f"{goal.metric} did not get better in {goal.patience} rounds"
    before = [training.model.hex(), *(each["model"] for each in applied)]
    if before[-1] in before[:-1]:
        # No party may send a second update about a model.
        number = before.index(before[-1])
        return f"the model after round {len(applied)} is the one after round {number} again, to the bit"
    if len(applied) >= training.rounds:
        return "the only round is done" if len(applied) == 1 else f"{len(applied)} rounds are done"
    return None


def spent_reason(training: Training, attempts: int) -> str | None:
    """Say why a training with noise is over, where it is for what was spent.

    Each attempt at a round spends what a round costs, for parties may have sent
    what they encrypted for it.

    Args:
        training: The terms.
        attempts: How many attempts at rounds there were before.

    Returns:
        Why; None where it goes on.
    """
    if training.privacy is None or attempts < training.rounds:
        return None
    return f"the privacy of {count(training.rounds, 'round')} is spent"


def best_round(training: Training, applied: Sequence[dict[str, Any]]) -> int | None:
    """Find the round with the best metric, which is of the model before it.

    Args:
        training: The terms.
        applied: What came of the rounds.

    Returns:
        The round's number, the first of several; None where nothing was measured.
    """
    goal = training.goal
    if goal is None:
        return None
    best: tuple[int, float] | None = None
    for number, each in enumerate(applied, 1):
        value = each["metrics"].get(goal.metric)
        if value is not None and (best is None or goal.better(value, best[1])):
            best = number, value
    return None if best is None else best[0]


def _path(found: Closed, name: str) -> str:
    return f"{found.round.folder}/{name}"


def _checked_sum(session: Session, found: Closed, opened: Link) -> Path:
    """One's own copy of the sum, which is what the parties sent."""
    number, plan = found.round.number, found.plan
    listed = dict(opened.entry.files).get(SUM_FILE)
    kept = session.own.path(number, SUM)
    mine = session.kept(found.round, ".sum")
    trusted = mine.exists() and digest_in(mine) == listed
    # Others can write to the folder all the time: what is checked is the copy that is used.
    with mine.open("rb") if trusted else session.opened(found.round, SUM_FILE) as source:
        reader = open_reader(source)
        _require_listed(reader, listed, found)
        # As large as the plan says, and no larger.
        open_sum(reader, plan)
        size = source.seek(0, 2)
        source.seek(0)
        # A run that was stopped makes it again.
        with session.own.store.create(str(kept), replace=True, secret=True, lasting=False) as out:
            while piece := source.read(min(1 << 20, size)):
                out.write(piece)
                size -= len(piece)
    with ExitStack() as stack:
        total = stack.enter_context(kept.open("rb"))
        reader = open_reader(total)
        _require_listed(reader, listed, found)
        header = open_sum(reader, plan)
        counted = {each.party: each.digest for each in header.contributors}
        if counted != listed_in(session, found.closing, ".enc"):
            raise RefusedError(f"{reader.name}: is of others than the round was closed with", BAD_SUM)
        sent = handed_in(session, found.round)
        if session.name in counted and sent is not None and counted[session.name] != sent:
            raise RefusedError(f"{reader.name}: counts another update of {session.name}", BAD_SUM)
        # Not what lies in the folder now, which anybody can exchange.
        if header.aggregate not in recorded(found.round.aggregated, AGGREGATE_FILE):
            raise RefusedError(f"{reader.name}: is of an aggregate that nobody recorded", BAD_SUM)
        if not trusted:
            # Whoever opened it has checked all of this before.
            check_aggregate(session, found, header.aggregate)
            _check_opened(session, found, total, stack)
    return kept


def _require_listed(reader: Reader, listed: bytes | None, found: Closed) -> None:
    if reader.digest != listed:
        raise HecliError(
            f"{_path(found, SUM_FILE)} is not the one in the ledger", "whoever opened it puts it back"
        )


def _check_opened(session: Session, found: Closed, total: Any, stack: ExitStack) -> None:
    """Refuse a sum that is not what the aggregate holds."""
    scheme = found.plan.scheme
    aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
    answers, partials = made_in(session, found).open(session, found, stack)
    key = session.public_key() if scheme.sharing is not None else None
    verify_sum(
        total,
        aggregated,
        partials,
        key=key,
        enrollments=found.enrollments(session, stack),
        answers=answers,
        plan=found.plan,
        work=session.settings.work,
    )


def _moved(session: Session, found: Closed, kept: Path, opened: Link) -> str:
    """Make the next model, and keep it where it is within the limits."""
    own, training = session.own, session.training
    number, suffix = found.round.number, session.suffix
    before, after = own.model(number - 1, suffix), own.model(number, suffix)
    with kept.open("rb") as total, before.open("rb") as model:
        with own.store.create(str(after), replace=True, secret=True) as out:
            base = open_tensors(model, str(before))
            basis = basis_of(session, found.plan)
            made = apply(total, out, base, plan=found.plan, basis=basis, rule=training.rule, lr=training.lr)
        with after.open("rb") as stream:
            digest = model_digest(open_tensors(stream, str(after)))
        low_rank = next_basis(session, number, total, found.plan)
        if found.plan.privacy is not None:
            steps = found.plan.codec.quantise.steps
        else:
            steps = steps_after(total, coding_of(training, low_rank), plan=found.plan)
    try:
        _check_limits(session, found, after, made.largest_step)
    except RefusedError:
        os.unlink(after)
        raise
    said = summary_of(session, kept, found.plan)
    # What the entry says is for show, and not signed by the sum.
    wrong = [name for name, value in said_in(opened).items() if name in said and said[name] != value]
    if wrong:
        session.note(
            f"round {number}: {opened.signer.name} wrote other {', '.join(wrong)} into the ledger than the "
            "sum holds; those here are right"
        )
    contributors = [each.party for each in made.total.contributors]
    applied = {
        "model": digest.hex(),
        "sum": made.sum_digest.hex(),
        "steps": list(steps),
        "basis": None if low_rank is None else [low_rank.rank, low_rank.side, low_rank.basis.hex()],
        "contributors": contributors,
        "largest_step": made.largest_step,
        **said,
    }
    own.copy(after, own.model("last", suffix))
    if best_round(training, [*own.applied(), applied]) == number:
        own.copy(before, own.model("best", suffix))
    with kept.open("rb") as total:
        settle_residual(session, total, found.plan)
    # Last: a run that is stopped before does all of it again.
    own.write(own.path(number, APPLIED), applied)
    if training.keep:
        own.tidy(number - training.keep, suffix)
    record_applied(session, found.round, applied)
    return f"round {number}: {_summary(found, applied)}"


def _summary(found: Closed, applied: dict[str, Any]) -> str:
    parts = [f"{len(applied['contributors'])} contributors"]
    parts += [f"{name} {value:.4g}" for name, value in sorted(applied["metrics"].items())]
    share = applied["clipped"] / (found.plan.geometry.values * len(applied["contributors"]))
    if share >= 0.0001:
        parts.append(f"{percent(share)} clipped")
    return ", ".join([*parts, f"largest step {applied['largest_step']:.3g}"])


def _check_limits(session: Session, found: Closed, model: Path, largest_step: float) -> None:
    settings, number = session.settings, found.round.number
    if settings.max_step is not None and largest_step > settings.max_step:
        raise RefusedError(
            f"the model of round {number} moved by {largest_step:.4g}, more than --max-step allows",
            f"look at the sum in {session.own.path(number, SUM)}, and speak with the others",
        )
    if settings.check is None:
        return
    log = session.own.root / "log" / f"{round_folder(number, 1)}.log"
    variables = {"HECLI_MODEL": str(model.absolute()), "HECLI_ROUND": str(number)}
    ended = run_command(settings.check, session.own.root, variables, log, settings.limit)
    if ended.status != 0:
        raise CheckFailedError(
            # Everybody reads this in the ledger; what the check printed is the member's own.
            f"the model of round {number} was refused: the check {ended.how}",
            f"its output is in {log}",
        )
