"""A key in shares: what hecli keygen --threshold writes."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, open_output
from hecli.errors import HecliError
from hecli.schemes.paillier.dealing import deal
from hecli.schemes.paillier.key_files import write_public_key, write_share
from hecli.schemes.paillier.sharing import holds_against

if TYPE_CHECKING:
    from hecli.identity.cards import Card

KEEP = "name the new key with -o; without the old shares nothing under it can be opened"


def write_shares(
    name: str,
    bits: int,
    numbers: tuple[int, int],
    card_files: tuple[str, ...],
    console: Console,
    *,
    verified_only: bool,
    passphrase: bool,
    force: bool,
) -> None:
    """Deal a key: NAME.pub and NAME-1.share to NAME-N.share, all of them or none."""
    threshold, shares = numbers
    cards: list[Card | None] = [*options.load_cards(card_files)] if card_files else [None] * shares
    if len(cards) != shares:
        raise HecliError(
            f"{len(cards)} cards are not {shares}", "give one --card for each share, in their order"
        )
    if card_files and len({*cards}) != shares:
        raise HecliError("a card is given twice", "one person with two shares counts for two")
    public = f"{name}.pub"
    files = [f"{name}-{index}.share" for index in range(1, shares + 1)]
    for path in (public, *files):
        check_output(path, force=force, hint=KEEP)
    secrets = [options.ask_passphrase(path, confirm=True) if passphrase else None for path in files]
    with console.working("looking for safe primes"):
        key, dealt = deal(threshold, shares, bits, verified_only=verified_only)
    with ExitStack() as stack:
        # Closed last: where the public file is, all shares are there too.
        write_public_key(key, stack.enter_context(open_output(public, force=force)))
        for at, path in enumerate(files):
            out = stack.enter_context(open_output(path, force=force, secret=True))
            write_share(dealt[at], out, secrets[at], cards[at])
    summary = {
        "files": [public, *files],
        "fingerprint": key.fingerprint,
        "bits": bits,
        "threshold": threshold,
        "shares": shares,
    }
    text = f"{public} and {files[0]} to {files[-1]}: {bits} bits, any {threshold} of {shares} open"
    console.summary(summary, f"{text}\nfingerprint {key.fingerprint}\n{holds_against(threshold, shares)}")
