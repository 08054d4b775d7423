"""hecli run."""

import json
import sys
from collections.abc import Callable
from functools import partial

import click

from hecli.cli import noise, options
from hecli.cli.console import Console, say, shown
from hecli.cli.files import open_input, shared_folder
from hecli.errors import HecliError, RefusedError
from hecli.executors.cores import cores
from hecli.formats.reader import open_reader
from hecli.formats.tensors.files import FORMATS
from hecli.formats.text import count, duration
from hecli.identity.signatures import Identity
from hecli.rounds.spending import spent_in
from hecli.schemes.interface import Scheme
from hecli.schemes.round import PrivateKey, Share
from hecli.storage.local import LOCAL
from hecli.storage.use_record import remember, was_used
from hecli.training import running
from hecli.training.commands import words_of
from hecli.training.contributing import check_account
from hecli.training.describe import training_lines
from hecli.training.joining import join, open_ledger, own_folder, read_terms, take_model
from hecli.training.own import Own
from hecli.training.session import Secrets, Session, Settings
from hecli.training.stepping import Awaits, Over
from hecli.training.terms import Training

AWAITS = 3
"""The exit status of --once where others are awaited."""

SHOWN = 4


@click.command()
@click.argument("folder", type=options.FILE)
@click.option(
    "--identity",
    type=options.LOCAL_FILE,
    metavar="FILE",
    envvar="HECLI_IDENTITY",
    required=True,
    help="Who you are: your .id file.",
)
@click.option("--train", metavar="COMMAND", help="What trains, for parties; see above.")
@click.option(
    "--key", type=options.LOCAL_FILE, metavar="FILE", help="Your .key or .share file, for whoever opens sums."
)
@click.option("--accept", metavar="DIGEST", help="Accept the terms with this digest, without being asked.")
@click.option(
    "--once", is_flag=True, help="Do what can be done now, and end; status 3 if others are awaited."
)
@click.option(
    "--format", type=click.Choice(list(FORMATS)), default="npz", help="Of your models. [default: npz]"
)
@click.option(
    "--time-limit",
    type=float,
    metavar="SECONDS",
    help="How long COMMAND may take. [default: no limit]",
)
@click.option("--max-step", type=float, metavar="X", help="Refuse a model of which a value moves by more.")
@click.option("--check", metavar="COMMAND", help="Refuse a model ($HECLI_MODEL) for which this fails.")
@click.option(
    "--again", is_flag=True, help="Send a second update about a model; the first must have gone nowhere."
)
@click.option(
    "--budget", type=float, metavar="E", help="Send nothing that brings epsilon above this; for noise."
)
@click.option(
    "--abandon", metavar="REASON", help="As coordinator, give up a round that was not closed, and end."
)
@click.option("--end", metavar="REASON", help="As coordinator, end the training.")
@options.jobs
@options.talkative
def run(
    folder: str,
    identity: str,
    train: str | None,
    key: str | None,
    accept: str | None,
    once: bool,
    format: str,
    time_limit: float | None,
    max_step: float | None,
    check: str | None,
    again: bool,
    budget: float | None,
    abandon: str | None,
    end: str | None,
    jobs: int | None,
    console: Console,
) -> int:
    """Take part in a training: do whatever your roles call for, round after round.

    Can be stopped at any moment and started again. What is yours stands beside
    your identity, in IDENTITY.run/: models, logs, and the update of a round.

    COMMAND runs in a folder of its own (files that it names are found from
    here), with HECLI_MODEL, the current model; HECLI_UPDATE, where to write new
    weights (or a gradient, where the rule is sgd); HECLI_WEIGHT and
    HECLI_METRICS, where to write the number of samples and a JSON map of names
    to numbers; HECLI_ROUND, HECLI_SEED, and HECLI_STATE, a folder that lasts;
    and where there is noise HECLI_CLIP, the clip norm.

    \b
      hecli run shared/ --identity hospital-2.id --train './train.sh'
      hecli run shared/ --identity registry.id --key hecli.key
      hecli run shared/ --identity hospital-2.id --train ./train.sh --once --json
      hecli run shared/ --identity registry.id --end "enough"
    """
    if abandon is not None and end is not None:
        raise click.UsageError("--abandon and --end exclude each other")
    for name, limit in (("--time-limit", time_limit), ("--max-step", max_step), ("--budget", budget)):
        if limit is not None and not 0 < limit < float("inf"):
            raise click.UsageError(f"{name} is a number above 0, not {limit:g}")
    # Done first: what is wrong with them shows before anything is read.
    training_words = None if train is None else words_of(train)
    check_words = None if check is None else words_of(check)
    signer = options.require_identity(identity, console)
    shared, own = shared_folder(folder), Own(LOCAL, own_folder(identity))
    terms = read_terms(shared)
    if accept is not None:
        _check_digest(accept, terms.digest)
    join(terms, own, signer, partial(_accept, accept is not None))
    # Whoever opens a round has each party's update, enrollment, answer and partial open at once.
    if terms.training.privacy is None:
        options.refuse("budget", "is for trainings with noise, and this one has none")
    promise = terms.training.privacy
    if promise is not None and budget is not None and budget < promise.epsilon:
        console.warn(
            f"the training may come to epsilon {promise.epsilon:g}, and your budget is {budget:g}: "
            "this run ends where it is spent"
        )
    secrets = _secrets(identity, key, terms.training, signer, console, budget, again=again)
    settings = Settings(training_words, time_limit, check_words, max_step, format, again, cores(jobs))
    with own.locked():
        ledger = open_ledger(shared, terms, own)
        take_model(shared, terms, own, format)
    note = console.note
    session = Session(signer, terms.training, terms.digest, shared, own, settings, secrets, note, ledger)
    if abandon is not None or end is not None:
        with own.locked():
            done = (
                running.abandon(session, abandon) if abandon is not None else running.end(session, end or "")
            )
        note(done)
        return 0
    _check_roles(session)
    with own.locked():
        check_account(session, spent_in(LOCAL, noise.account_of(identity), signer))
    with console.live() as live:
        outcome = running.run(session, once=once, waiting=partial(_waiting, live))
    return _ended(session, outcome, console)


def _check_digest(given: str, digest: bytes) -> None:
    """Refuse another training than the one that was accepted, with all 64 digits of its digest."""
    if given.strip().lower() != digest.hex():
        raise RefusedError(
            f"the training in the folder has the digest {digest.hex()}, not {given[:80]}",
            "look at it with hecli inspect, and speak with its coordinator",
        )


def _accept(compared: bool, training: Training, digest: bytes) -> bool:
    """Ask for the terms to be accepted, unless their digest was given and compared."""
    if compared:
        return True
    if not sys.stdin or not sys.stdin.isatty():
        raise RefusedError(
            "the terms of the training have to be accepted once, and there is no terminal to ask on",
            "compare the digest that hecli inspect shows with the coordinator's, and pass it with --accept",
        )
    say(
        "\n".join([f"training     {training.name!r}, digest {digest.hex()}", *training_lines(training)]),
        err=True,
    )
    say("Compare the coordinator's fingerprint, and the digest, over another channel.", err=True)
    return click.confirm("Accept these terms?", err=True)


def _secrets(
    identity: str,
    key: str | None,
    training: Training,
    signer: Identity,
    console: Console,
    budget: float | None,
    *,
    again: bool,
) -> Secrets:
    """What opens sums, and the records of what secrets were used for."""
    private, share, opened = None, None, None
    if key is not None:
        private, share = _load_key(key, training.scheme, signer, console)
        opened = remember(key, "opened")
    return Secrets(
        key=private,
        share=share,
        opened=opened,
        masked=remember(identity, "masked", again=again),
        sent=remember(identity, "sent", again=again),
        was_sent=partial(was_used, identity, "sent"),
        answered=remember(identity, "answered"),
        account=noise.counting(identity, signer, budget),
    )


def _load_key(
    path: str, scheme: Scheme, signer: Identity, console: Console
) -> tuple[PrivateKey | None, Share | None]:
    """A private key, or a share where the key is in shares."""
    if scheme.sharing is None:
        return options.load_private_key(path, scheme, console), None
    with open_input(path) as stream:
        share = scheme.sharing.read_share(open_reader(stream), lambda: options.ask_passphrase(path), signer)
    options.warn_of_readers(path, console)
    return None, share


def _check_roles(session: Session) -> None:
    """Refuse what does not fit this member's roles, before it waits for anything."""
    scheme, key = session.training.scheme, session.secrets.key
    if key is not None:
        scheme.check_key(key.public, "the training")
    if not session.may("sum") and (key is not None or session.secrets.share is not None):
        options.refuse("key", "is for those who open sums in this training")
    if not session.may("update"):
        options.refuse("train", "is for parties, and this identity is none in this training")
    elif session.settings.train is None:
        raise RefusedError(
            f"{session.name} is a party, and parties train", "pass --train, the command that does"
        )
    if (
        session.may("sum")
        and key is None
        and session.secrets.share is None
        and scheme.to_open & {"key", "shares"}
    ):
        raise RefusedError(
            f"{session.name} opens sums in this training", "pass --key, your .key or .share file"
        )


def _waiting(live: Callable[[str], None], awaits: Awaits, seconds: float) -> None:
    since = f" ({duration(int(seconds))})" if seconds >= 1 else ""
    live(f"round {awaits.round}: {_awaited(awaits)}{since}")


def _awaited(awaits: Awaits) -> str:
    names = ", ".join(awaits.names[:SHOWN])
    more = f" and {len(awaits.names) - SHOWN} more" if len(awaits.names) > SHOWN else ""
    return f"waiting for {awaits.what} of {names}{more}"


def _ended(session: Session, outcome: Awaits | Over, console: Console) -> int:
    applied = session.own.applied()
    model = session.own.model("last", session.suffix)
    summary = {
        "training": session.training.name,
        "rounds": len(applied),
        "model": str(model),
        "metrics": applied[-1]["metrics"] if applied else {},
        "skipped": {str(number): why for number, why in session.skipped.items()},
        "awaits": None,
        "over": None,
        "head": session.ledger.last.head,
    }
    if isinstance(outcome, Awaits):
        summary["awaits"] = {"round": outcome.round, "what": outcome.what, "names": list(outcome.names)}
        console.summary(summary, f"round {outcome.round}: {_awaited(outcome)}")
        return AWAITS
    summary["over"] = outcome.why
    if console.json:
        click.echo(json.dumps(summary))
    elif not outcome.failed:
        console.note(f"the training is over: {outcome.why}")
        console.note(f"model        {shown(str(model))}, after {count(len(applied), 'round')}")
    if outcome.failed:
        raise HecliError(
            f"the training ended: {outcome.why}",
            "speak with the others; a new training can go on from this model",
        )
    if session.skipped:
        number, why = next(iter(session.skipped.items()))
        raise HecliError(
            f"{count(len(session.skipped), 'round')} of {len(applied)} went without this party's update",
            f"round {number}: {why}",
        )
    return 0
