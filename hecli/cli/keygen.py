"""hecli keygen."""

from dataclasses import replace
from pathlib import Path

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.dealing import write_shares
from hecli.cli.files import STANDARD, check_output, open_input, open_output
from hecli.formats.reader import open_reader
from hecli.identity.files import write_card, write_identity
from hecli.identity.signatures import Identity
from hecli.schemes.paillier import keys
from hecli.schemes.paillier.jwk import read_jwk, write_jwk
from hecli.schemes.paillier.key_files import (
    parse_private_key,
    read_private_key,
    read_public_key,
    write_private_key,
    write_public_key,
)
from hecli.schemes.paillier.keys import DEFAULT_BITS, PrivateKey, PublicKey

KEEP_IDENTITY = "name the files with -o; rosters know the old identity, and nobody else can sign for it"
KEEP = "name the new key with -o; without the old private key nothing under it can be opened"


@click.command()
@click.option(
    "-o",
    "--output",
    type=options.LOCAL_FILE,
    metavar="NAME",
    help="Write NAME.pub and NAME.key, or NAME as JWK. [default: hecli]",
)
@click.option("--bits", type=int, metavar="N", help=f"Size of the key. [default: {DEFAULT_BITS}]")
@click.option("--threshold", type=int, metavar="T", help="Deal the key in shares, of which any T open.")
@click.option("--shares", type=int, metavar="N", help="How many shares: NAME-1.share to NAME-N.share.")
@click.option(
    "--card",
    "cards",
    type=options.FILE,
    multiple=True,
    metavar="CARD",
    help="Seal a share to this card; one for each share.",
)
@click.option("--identity", metavar="NAME", help="Make NAME.id and NAME.card, to sign as NAME.")
@click.option(
    "--allow-unverified",
    is_flag=True,
    help="Let the key open what nobody verified, with --unverified; for trials.",
)
@click.option(
    "--passphrase",
    is_flag=True,
    help="Protect the secret file (typed, or HECLI_PASSPHRASE, or HECLI_IDENTITY_PASSPHRASE).",
)
@click.option(
    "-y",
    "--public-only",
    type=options.LOCAL_FILE,
    metavar="KEY",
    help="Derive NAME.pub from this private key.",
)
@click.option(
    "--from-jwk", type=options.LOCAL_FILE, metavar="FILE", help="Take the key from a file of pheutil's."
)
@click.option(
    "--export-jwk", type=options.LOCAL_FILE, metavar="KEY", help="Write this .pub or .key for pheutil, to -o."
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@options.talkative
def keygen(
    output: str | None,
    bits: int | None,
    threshold: int | None,
    shares: int | None,
    cards: tuple[str, ...],
    identity: str | None,
    allow_unverified: bool,
    passphrase: bool,
    public_only: str | None,
    from_jwk: str | None,
    export_jwk: str | None,
    force: bool,
    console: Console,
) -> None:
    """Make a key pair, or convert one.

    Everyone gets the .pub file; the .key file opens sums and stays with the
    keyholder. With --identity, everyone gets your .card; the .id file signs
    for you and stays with you. Compare fingerprints over another channel.
    With --threshold there is no .key file: nobody opens anything alone.

    \b
      hecli keygen
      hecli keygen --identity hospital-2
      hecli keygen --threshold 3 --shares 4
      hecli keygen -o hospital --bits 4096 --passphrase
      hecli keygen --public-only hospital.key
      hecli keygen --from-jwk pheutil.jwk -o old
      hecli keygen --export-jwk old.key -o old.jwk
    """
    _check_usage(
        [each for each in (public_only, from_jwk, export_jwk, identity) if each is not None],
        new=bits is not None or threshold is not None,
        standard=output == STANDARD and export_jwk is None,
        secret=not (public_only or export_jwk),
        passphrase=passphrase,
    )
    if (threshold is None) != (shares is None) or (cards and threshold is None):
        raise click.UsageError("--threshold and --shares go together, and --card with them")
    if allow_unverified and (public_only or export_jwk or identity):
        raise click.UsageError("--allow-unverified is for a private key, or its shares")
    if cards and passphrase:
        raise click.UsageError("a share is sealed to a card or has a passphrase, not both")
    if export_jwk is not None:
        _export(export_jwk, output, console, force=force)
    elif identity is not None:
        _identity(identity, output or identity, console, passphrase=passphrase, force=force)
    elif threshold is not None and shares is not None:
        size = DEFAULT_BITS if bits is None else bits
        name = output or "hecli"
        write_shares(
            name,
            size,
            (threshold, shares),
            cards,
            console,
            verified_only=not allow_unverified,
            passphrase=passphrase,
            force=force,
        )
    elif public_only is not None:
        _public_part(public_only, output, console, force=force)
    else:
        name = output or "hecli"
        key = _new_key(name, bits, force=force) if from_jwk is None else _imported(from_jwk)
        if isinstance(key, PrivateKey):
            key = replace(key, verified_only=not allow_unverified)
        elif allow_unverified:
            raise click.UsageError("--allow-unverified is for a private key, and this is a public one")
        _write(key, name, console, passphrase=passphrase, force=force)


def _check_usage(sources: list[str], *, new: bool, standard: bool, secret: bool, passphrase: bool) -> None:
    if len(sources) > 1:
        raise click.UsageError("--public-only, --from-jwk, --export-jwk and --identity exclude each other")
    if sources and new:
        raise click.UsageError("--bits and --threshold are for a new key")
    if standard:
        raise click.UsageError("-o is the name of two files, which standard output cannot be")
    if passphrase and not secret:
        raise click.UsageError("--passphrase is for writing a secret")


def _public_part(path: str, output: str | None, console: Console, *, force: bool) -> None:
    if output is None and path == STANDARD:
        raise click.UsageError("say with -o how to name the public key")
    with open_input(path) as stream:
        key = parse_private_key(open_reader(stream)).public
    options.warn_of_readers(path, console)
    _write(key, output or path.removesuffix(".key"), console, passphrase=False, force=force)


def _imported(path: str) -> PrivateKey | PublicKey:
    with open_input(path) as stream:
        return read_jwk(stream)


def _new_key(name: str, bits: int | None, *, force: bool) -> PrivateKey:
    for suffix in (".pub", ".key"):
        check_output(name + suffix, force=force, hint=KEEP)
    return keys.keygen(DEFAULT_BITS if bits is None else bits)


def _write(
    key: PrivateKey | PublicKey, name: str, console: Console, *, passphrase: bool, force: bool
) -> None:
    """Write one file or both; of two, neither unless both can be."""
    private, public = f"{name}.key", f"{name}.pub"
    if isinstance(key, PublicKey):
        if passphrase:
            raise click.UsageError("--passphrase is for a private key, and this is a public one")
        with open_output(public, force=force) as stream:
            write_public_key(key, stream)
        _say(key, [public], console)
        return
    check_output(public, force=force, hint=KEEP)
    check_output(private, force=force, hint=KEEP)
    secret = options.ask_passphrase(private, confirm=True) if passphrase else None
    # The public file appears last: where there is one, its key is there too.
    with open_output(public, force=force) as public_stream:
        write_public_key(key.public, public_stream)
        with open_output(private, force=force, secret=True) as private_stream:
            write_private_key(key, private_stream, secret)
    _say(key.public, [public, private], console)


def _identity(name: str, output: str, console: Console, *, passphrase: bool, force: bool) -> None:
    """Write the two files of a new identity, neither unless both can be."""
    if output == name and Path(name).name != name:
        raise click.UsageError("a name that is no file's name needs -o")
    made = Identity.generate(name)
    public, private = f"{output}.card", f"{output}.id"
    for path in (public, private):
        check_output(path, force=force, hint=KEEP_IDENTITY)
    secret = None
    if passphrase:
        secret = options.ask_passphrase(private, options.IDENTITY_PASSPHRASE, confirm=True)
    with open_output(public, force=force) as public_stream:
        write_card(made, public_stream)
        with open_output(private, force=force, secret=True) as private_stream:
            write_identity(made, private_stream, secret)
    summary = {"files": [public, private], "name": name, "fingerprint": made.card.fingerprint}
    text = f"{public} and {private}: the identity of {name}\nfingerprint {made.card.fingerprint}"
    console.summary(summary, text)


def _export(path: str, output: str | None, console: Console, *, force: bool) -> None:
    with open_input(path) as stream:
        reader = open_reader(stream)
        key: PublicKey | PrivateKey
        if reader.kind == "private key":
            key = read_private_key(reader, lambda: options.ask_passphrase(path))
        else:
            key = read_public_key(reader)
    if isinstance(key, PrivateKey):
        options.warn_of_readers(path, console)
        console.warn("what is exported is a private key without a passphrase")
    target = output or "hecli.jwk"
    with open_output(target, force=force, secret=isinstance(key, PrivateKey)) as stream:
        write_jwk(key, stream)
    _say(key.public if isinstance(key, PrivateKey) else key, [target], console)


def _say(key: PublicKey, files: list[str], console: Console) -> None:
    summary = {"files": files, "fingerprint": key.fingerprint, "bits": key.n.bit_length()}
    text = f"{' and '.join(files)}: {key.n.bit_length()} bits\nfingerprint {key.fingerprint}"
    console.summary(summary, text, to_stdout=STANDARD not in files)
