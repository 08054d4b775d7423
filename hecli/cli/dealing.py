"""A key in shares: what hecli keygen --threshold writes."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hecli.arithmetic.threshold import deal
from hecli.cli import options
from hecli.cli.console import Console
from hecli.errors import HecliError
from hecli.schemes.paillier.keys import PublicKey
from hecli.schemes.paillier.shares import Share, write_share, write_threshold_key
from hecli.storage.local import check_output, open_output

if TYPE_CHECKING:
    from hecli.formats.cards import Card

KEEP = "name the new key with -o; without the old shares nothing under it can be opened"


def write_shares(
    name: str,
    bits: int,
    threshold: int,
    shares: int,
    card_files: tuple[str, ...],
    console: Console,
    *,
    passphrase: bool,
    force: bool,
) -> None:
    """Deal a key: NAME.pub and NAME-1.share to NAME-N.share, all of them or none."""
    cards: list[Card | None] = [*options.load_cards(card_files)] if card_files else [None] * shares
    if len(cards) != shares:
        raise HecliError(
            f"{len(cards)} cards are not {shares}", "give one --card for each share, in their order"
        )
    public = f"{name}.pub"
    files = [f"{name}-{index}.share" for index in range(1, shares + 1)]
    for path in (public, *files):
        check_output(path, force=force, hint=KEEP)
    secrets = [options.ask_passphrase(path, confirm=True) if passphrase else None for path in files]
    with console.working("looking for safe primes"):
        key, values = deal(bits, threshold, shares)
    with ExitStack() as stack:
        # Closed last: where the public file is, all shares are there too.
        write_threshold_key(key, stack.enter_context(open_output(public, force=force)))
        for at, path in enumerate(files):
            out = stack.enter_context(open_output(path, force=force, secret=True))
            write_share(Share(key, at + 1, values[at]), out, secrets[at], cards[at])
    fingerprint = PublicKey(key.n).fingerprint
    facts = {
        "files": [public, *files],
        "fingerprint": fingerprint,
        "bits": bits,
        "threshold": threshold,
        "shares": shares,
    }
    text = f"{public} and {files[0]} to {files[-1]}: {bits} bits, any {threshold} of {shares} open"
    console.summary(facts, f"{text}\nfingerprint {fingerprint}")
