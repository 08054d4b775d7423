"""The folder kept as it should be: one's own files put back for those who are behind, old ones removed."""

import posixpath

from hecli.training.aggregating import recorded
from hecli.training.files import digest_in
from hecli.training.history import History, Round
from hecli.training.planning import put_plan_back
from hecli.training.session import AGGREGATE_FILE, SUM_FILE, Session

LARGE = (".enc", ".agg", ".part", ".ans", ".enroll", ".sum")
"""The suffixes of what is removed of old rounds."""


def restore(session: Session, history: History) -> None:
    """Put back one's own files of the first round that each of those who are behind has to apply.

    Args:
        session: The run.
        history: The rounds.
    """
    opened = [each for each in history.rounds if each.opened]
    behind = {}
    for card in session.training.roster.members:
        if first := next((each for each in opened if card.name not in each.applied), None):
            behind[first.folder] = first
    for each in behind.values():
        put_back(session, each)
        _put_files_back(session, each)


def _put_files_back(session: Session, round_: Round) -> None:
    """Put one's own files of a round into the folder, the sum apart, where they are not as they were made."""
    made = {each: session.file(session.name, each) for each in (".enroll", ".enc", ".ans", ".part")}
    if session.coordinates:
        put_plan_back(session, round_)
    if session.digest_of(round_, AGGREGATE_FILE) not in recorded(round_.aggregated, AGGREGATE_FILE):
        made[".agg"] = AGGREGATE_FILE
    counting = {each for link in (*round_.enrolled, *round_.closed) for each in link.entry.files}
    for suffix, name in made.items():
        kept = session.kept(round_, suffix)
        if not kept.exists() or session.in_place(round_, name, kept):
            continue
        # An update that came too late is not in the round.
        if suffix not in (".enroll", ".enc") or (name, digest_in(kept)) in counting:
            session.publish(round_, name, kept)


def put_back(session: Session, round_: Round) -> bool:
    """Put one's own sum into the folder, where it is the one that counts and is needed.

    Args:
        session: The run.
        round_: The round.

    Returns:
        Whether it is.
    """
    if not session.may("sum") or len(round_.applied) == len(session.training.roster.members):
        return False
    kept = session.kept(round_, ".sum")
    if not kept.exists() or digest_in(kept) != dict(round_.opened[0].entry.files).get(SUM_FILE):
        return False
    if not session.in_place(round_, SUM_FILE, kept):
        session.publish(round_, SUM_FILE, kept)
    return True


def tidy(session: Session, history: History) -> None:
    """Remove old rounds' large files, once everybody has applied their sums.

    Args:
        session: The coordinator's run.
        history: The rounds.
    """
    keep, everybody = session.training.keep, {card.name for card in session.training.roster.members}
    if not keep:
        return
    last = max((each.number for each in history.rounds if each.opened), default=0)
    for each in history.rounds:
        if each.number > last - keep or each.folder in session.tidied:
            continue
        final = history.of(each.number)
        if final is None or not everybody <= final.applied.keys():
            continue
        for name in session.shared.list(each.folder):
            if name.endswith(LARGE):
                session.shared.remove(posixpath.join(each.folder, name))
        session.tidied.add(each.folder)
