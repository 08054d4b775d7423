"""What the commands do, for Python: the functions of other rooms, with paths and arrays too.

Where a function of another room takes a file to read, one here takes a path
or a binary stream; where it takes tensors, also a mapping of names to arrays;
where it writes, a path (a new file, which appears whole or not at all) or a
stream. Instead of an executor, `jobs` says how many processes work.
"""

import functools
import inspect as introspection
import io
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, BinaryIO, TypeVar

from hecli.codec.basis import Basis
from hecli.executors.cores import cores
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors, streams
from hecli.identity.files import read_card as _read_card
from hecli.identity.files import read_identity as _read_identity
from hecli.identity.files import write_card as _write_card
from hecli.identity.files import write_identity as _write_identity
from hecli.inspection.inspect import inspect as _inspect
from hecli.inspection.verify import verify as _verify
from hecli.plan.files import read_plan as _read_plan
from hecli.plan.files import write_plan as _write_plan
from hecli.plan.making import make_plan as _make_plan
from hecli.privacy.account import SUFFIX
from hecli.rounds.aggregate import aggregate as _aggregate
from hecli.rounds.answer import answer as _answer
from hecli.rounds.apply import apply as _apply
from hecli.rounds.attest import attest as _attest
from hecli.rounds.basis import make_basis as _make_basis
from hecli.rounds.basis import read_basis as _read_basis
from hecli.rounds.combine import combine as _combine
from hecli.rounds.decrypt import decrypt as _decrypt
from hecli.rounds.encode import encode as _encode
from hecli.rounds.encrypt import encrypt as _encrypt
from hecli.rounds.enroll import enroll as _enroll
from hecli.rounds.headers import open_sum as _open_sum
from hecli.rounds.join import join as _join
from hecli.rounds.next_plan import next_plan as _next_plan
from hecli.rounds.next_plan import open_example
from hecli.rounds.partial import partial as _partial
from hecli.rounds.residual import Feedback, kept_in
from hecli.rounds.residual import read_residual as _read_residual
from hecli.rounds.residual import settle as _settle
from hecli.rounds.sensitivity import plain_by_sensitivity as _plain_by_sensitivity
from hecli.rounds.spending import Account
from hecli.rounds.spending import spending as _spending
from hecli.rounds.verify_aggregate import verify_aggregate as _verify_aggregate
from hecli.rounds.verify_aggregate import verify_slice as _verify_slice
from hecli.rounds.verify_sum import verify_sum as _verify_sum
from hecli.schemes.paillier.jwk import read_jwk as _read_jwk
from hecli.schemes.paillier.jwk import write_jwk as _write_jwk
from hecli.schemes.paillier.key_files import read_private_key as _read_private_key
from hecli.schemes.paillier.key_files import read_public_key as _read_public_key
from hecli.schemes.paillier.key_files import read_share as _read_share
from hecli.schemes.paillier.key_files import write_private_key as _write_private_key
from hecli.schemes.paillier.key_files import write_public_key as _write_public_key
from hecli.schemes.paillier.key_files import write_share as _write_share
from hecli.storage.local import LOCAL, at_the_end, beside_the_end
from hecli.storage.places import ANYWHERE
from hecli.storage.spool import spooled
from hecli.storage.use_record import remember

R = TypeVar("R")

Take = Callable[[ExitStack, str, Any], Any]
"""Makes of what was given for a parameter what the function takes, for as long as the stack lasts."""


def _file(stack: ExitStack, name: str, value: Any, *, many: bool = False) -> BinaryIO:
    """A path, a URL or a stream, to be read."""
    if isinstance(value, str | os.PathLike):
        return stack.enter_context(ANYWHERE.open(os.fspath(value), many=many))
    if not hasattr(value, "read"):
        raise TypeError(f"{name} takes a path or a binary stream, not {type(value).__name__}")
    if isinstance(value, io.TextIOBase):
        raise TypeError(f"{name} takes a binary stream, not one of text: open it with 'rb'")
    return value if value.seekable() else stack.enter_context(spooled(value))


def _files(stack: ExitStack, name: str, value: Any) -> Any:
    """Paths or streams, to be read."""
    if isinstance(value, str | bytes | os.PathLike) or not isinstance(value, Iterable):
        raise TypeError(f"{name} takes a list of paths or binary streams, not {type(value).__name__}")
    return [_file(stack, name, each, many=True) for each in value]


def _reader(stack: ExitStack, name: str, value: Any) -> Any:
    """A path or a stream, opened as one of hecli's files."""
    return open_reader(_file(stack, name, value))


def _tensors(stack: ExitStack, name: str, value: Any) -> Any:
    """A path, a stream, or a mapping of names to arrays."""
    if isinstance(value, Mapping):
        return of_arrays(value)
    if not isinstance(value, str | os.PathLike) and not hasattr(value, "read"):
        raise TypeError(
            f"{name} takes a path, a binary stream or a mapping of names to arrays, "
            f"not {type(value).__name__}"
        )
    if hasattr(value, "peek") and not value.seekable() and streams(value.peek(8)[:8]):
        return value
    return _file(stack, name, value)


def _example(stack: ExitStack, name: str, value: Any) -> Any:
    """The same, opened; or the sum of a round, a path or a stream."""
    found = _tensors(stack, name, value)
    return found if isinstance(value, Mapping) else open_example(found)


def _output(stack: ExitStack, name: str, value: Any) -> Any:
    """A path that nothing is at, or a stream, to be written."""
    if isinstance(value, str | os.PathLike):
        return stack.enter_context(ANYWHERE.create(os.fspath(value)))
    return _stream(name, value)


def _secret_output(stack: ExitStack, name: str, value: Any) -> Any:
    """The same, for its owner only."""
    if isinstance(value, str | os.PathLike):
        return stack.enter_context(LOCAL.create(os.fspath(value), secret=True))
    return _stream(name, value)


def _bases(stack: ExitStack, name: str, value: Any) -> Any:
    """Bases that were read, or a path or a stream of them."""
    return value if isinstance(value, Basis) else _read_basis(_reader(stack, name, value))


def _feedback(stack: ExitStack, name: str, value: Any) -> Any:
    """The path of a residual, which is made where it is not there."""
    if isinstance(value, str | os.PathLike):
        return stack.enter_context(kept_in(LOCAL, at_the_end(os.fspath(value))))
    if not isinstance(value, Feedback):
        raise TypeError(f"{name} takes a path, not {type(value).__name__}")
    return value


def _patterns(stack: ExitStack, name: str, value: Any) -> Any:
    """Patterns of names, as they are."""
    del stack
    if isinstance(value, str):
        raise TypeError(f"{name} takes a list of patterns, not str")
    return value


def _record(use: str, *, before: bool = False) -> Take:
    """A secret's path, beside which a record is kept, or a function that is told."""

    def take(stack: ExitStack, name: str, value: Any) -> Any:
        del stack
        if isinstance(value, str | os.PathLike):
            return remember(os.fspath(value), use, before=before)
        if not callable(value):
            raise TypeError(f"{name} takes the path of a secret or a function, not {type(value).__name__}")
        return value

    return take


def _stream(name: str, value: Any) -> Any:
    if not hasattr(value, "write") or isinstance(value, io.TextIOBase):
        raise TypeError(f"{name} takes a path or a binary stream, not {type(value).__name__}")
    return value


_OUTPUTS = (_output, _secret_output, _feedback)


def _public(function: Callable[..., R], /, **takes: Take) -> Callable[..., R]:
    """A function of another room, which takes paths and arrays too; its docstring says the rest."""
    signature = introspection.signature(function)
    shown = [
        each.replace(
            name="jobs" if each.name == "work" else each.name,
            default=None if each.name == "work" else each.default,
            annotation=Any if each.name in takes else int | None if each.name == "work" else each.annotation,
        )
        for each in signature.parameters.values()
    ]

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> R:
        if "work" in signature.parameters:
            kwargs["work"] = cores(kwargs.pop("jobs", None))
        bound = signature.bind(*args, **kwargs)
        with ExitStack() as stack:
            # Outputs are made last: a wrong input leaves none.
            for output in (False, True):
                for name, take in takes.items():
                    given = bound.arguments.get(name)
                    if (take in _OUTPUTS) is output and given is not None:
                        bound.arguments[name] = take(stack, name, given)
            return function(*bound.args, **bound.kwargs)

    public.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    public.__doc__ = (
        (function.__doc__ or "")
        .replace("work: Who works.", "jobs: How many processes work; by default as many as there are cores.")
        .replace("reader: The opened file", "reader: The file")
    )
    return public


encode = _public(_encode, source=_tensors, out=_secret_output, basis=_bases)
encrypt = _public(
    _encrypt,
    source=_tensors,
    out=_output,
    enrollments=_files,
    record=_record("masked"),
    basis=_bases,
    # Published before the update.
    feedback=_feedback,
)
aggregate = _public(_aggregate, sources=_files, out=_output)
decrypt = _public(
    _decrypt,
    aggregate=_file,
    out=_output,
    updates=_files,
    attestations=_files,
    enrollments=_files,
    answers=_files,
    record=_record("opened"),
)
partial = _public(
    _partial, aggregate=_file, out=_output, updates=_files, attestations=_files, record=_record("opened")
)
join = _public(
    _join,
    slices=_files,
    out=_output,
    aggregate=_file,
    enrollments=_files,
    answers=_files,
    record=_record("opened", before=True),
)
combine = _public(
    _combine,
    aggregate=_file,
    partials=_files,
    out=_output,
    enrollments=_files,
    answers=_files,
)
enroll = _public(_enroll, out=_output)
answer = _public(
    _answer,
    aggregate=_file,
    out=_output,
    enrollments=_files,
    updates=_files,
    record=_record("answered"),
)
attest = _public(_attest, aggregate=_file, updates=_files, out=_output)
inspect = _public(_inspect, source=_file)
verify = _public(_verify, source=_file)
verify_aggregate = _public(_verify_aggregate, aggregate=_file, updates=_files)
verify_slice = _public(_verify_slice, part=_file, updates=_files)
verify_sum = _public(
    _verify_sum, total=_file, aggregate=_file, partials=_files, enrollments=_files, answers=_files
)
apply = _public(_apply, total=_file, out=_output, model=_tensors, basis=_bases)
make_plan = _public(_make_plan, like=_example, skip=_patterns, masked=_patterns, plain=_patterns)
plain_by_sensitivity = _public(_plain_by_sensitivity, total=_file)
next_plan = _public(_next_plan, total=_file, bases=_output)
make_basis = _public(_make_basis, total=_file, out=_output)
read_basis = _public(_read_basis, reader=_reader)
read_plan = _public(_read_plan, reader=_reader)
write_plan = _public(_write_plan, out=_output)
read_card = _public(_read_card, reader=_reader)
read_identity = _public(_read_identity, reader=_reader)
write_card = _public(_write_card, out=_output)
write_identity = _public(_write_identity, out=_secret_output)
read_public_key = _public(_read_public_key, reader=_reader)
read_private_key = _public(_read_private_key, reader=_reader)
read_share = _public(_read_share, reader=_reader)
write_public_key = _public(_write_public_key, out=_output)
write_private_key = _public(_write_private_key, out=_secret_output)
write_share = _public(_write_share, out=_secret_output)
read_jwk = _public(_read_jwk, source=_file)
write_jwk = _public(_write_jwk, out=_secret_output)


def spending(identity: str | os.PathLike[str], signer: Any, *, budget: float | None = None) -> Account:
    """Keep the account of updates with noise beside an identity, for `account` of `encrypt`.

    Args:
        identity: The path of the .id file.
        signer: The identity in it.
        budget: The largest epsilon that updates may cost, at a delta of 1e-5; None for any.

    Returns:
        What counts them.
    """
    path = os.fspath(identity)
    return _spending(LOCAL, beside_the_end(path, SUFFIX), signer, path, budget)


def settle(residual: str | os.PathLike[str], total: Any, *, plan: Any = None) -> bool:
    """Let go of what got through in a round, in the file where `encrypt` kept what may not.

    Args:
        residual: The path of the residual.
        total: The opened sum of the round, a path or a binary stream.
        plan: The plan that it must follow; without it, its own is believed.

    Returns:
        Whether the sum lists the update that was sent.

    Raises:
        FormatError: A file is not sound.
        MismatchError: The residual waits for the sum of another round, or for none.
    """
    with ExitStack() as stack:
        found = _open_sum(_reader(stack, "total", total), plan)
        left = _read_residual(_reader(stack, "residual", residual))
        out = stack.enter_context(LOCAL.create(at_the_end(os.fspath(residual)), replace=True, secret=True))
        return _settle(left, found, out)


def mean(total: Any, *, plan: Any = None, basis: Any = None) -> dict[str, Any]:
    """Give the mean of a sum.

    Args:
        total: The sum, a path or a binary stream.
        plan: The plan that it must follow; without it, its own is believed.
        basis: The bases of matrices, where the plan is of low rank.

    Returns:
        The mean of each tensor, by name, as arrays.

    Raises:
        FormatError: The file is not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    found: dict[str, Any] = next_model(total, None, plan=plan, basis=basis)
    return found


def next_model(
    total: Any, model: Any, *, plan: Any = None, basis: Any = None, rule: str = "sgd", lr: float = 1.0
) -> Any:
    """Move a model by the mean of a sum, in memory.

    Args:
        total: The sum, a path or a binary stream.
        model: The model: a path, a binary stream or a mapping of names to arrays.
        plan: The plan that the sum must follow; without it, its own is believed.
        basis: The bases of matrices, where the plan is of low rank.
        rule: `sgd` subtracts lr times the mean, `add` adds it, `replace` takes it.
        lr: The learning rate.

    Returns:
        The next model, as a mapping of names to arrays.

    Raises:
        DataError: The step ends at infinity.
        FormatError: A file is not sound.
        MismatchError: Names or shapes differ, or the sum follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    out = io.BytesIO()
    apply(total, out, model, plan=plan, basis=basis, rule=rule, lr=lr, format="tensors")
    return to_arrays(open_tensors(out, "the next model"))
