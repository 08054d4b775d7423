"""Make the test vectors: one file for each rule of docs/format.md, good and bad.

`make vectors` writes good/, bad/, index.json and README.md; a test makes them
again and compares. They are built from integers, msgpack, hashlib and
cryptography rather than from hecli, so that they test hecli and not themselves.
"""

import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import noisy as o
import rounds as r
import smaller as s
import trainings as t
from faults import FERMAT_1001, LEAST_LARGE, Fault, bad, tensors_of
from parts import (
    PASSPHRASE,
    SMALL_P,
    SMALL_Q,
    Map,
    all_secrets,
    box,
    card,
    envelope,
    file_digest,
    integer,
    kem_key,
    little,
    pack,
    records,
    under_passphrase,
)
from rounds import PLAN, N, follows, plan_digest, plan_file

HERE = Path(__file__).parent
MODEL = [0.5, 1.0, 1.0, 2.0, 3.0, 4.0]
COUNTERS = [1, 3, 253]


class Good(NamedTuple):
    """A file that every reader must accept: what is in it, and the section of docs/format.md."""

    data: bytes
    rule: str
    what: str


def tensors(items: list[list[object]], values: bytes) -> bytes:
    """Make a file of tensors."""
    return envelope("tensors", {"tensors": items}, [("values", 1, values)])


def means() -> list[float]:
    """Give the means of the open round, in the order of operations that section 5 fixes."""
    steps = [r.STEPS[0]] * 2 + [r.STEPS[1]] * 4
    return [float(s - 2 * 127) * (step * (10 / 15)) for s, step in zip(r.BOTH, steps, strict=True)]


def keys() -> dict[str, Good]:
    """Make keys, shares, cards and identities."""
    primes = records([SMALL_P, SMALL_Q], 256)
    own = {"card": card("alice")}
    both = all_secrets("alice")
    sealed_share = under_passphrase(r.SHARE_BYTES, r.SHARE_BOUND)
    boxed_share = {"card": card("alice"), "box": box(r.SHARE_BYTES, "alice", r.SHARE_BOUND)}

    def private(secret: Map) -> bytes:
        return envelope("private key", {"n": integer(N), "verified_only": False, "secret": secret})

    def public(n: int, **dealing: object) -> bytes:
        return envelope("public key", {"n": integer(n), **dealing})

    return {
        "key.pub": Good(public(N), "3 public key", "the key of the open and the signed round"),
        "key.key": Good(private({"clear": primes}), "3 private key", "its secret, in the clear"),
        "sealed.key": Good(
            private(under_passphrase(primes, pack([integer(N), False]))),
            "3 private key",
            "the same under the passphrase",
        ),
        "factor-above.pub": Good(
            public(LEAST_LARGE * N), "3 public key", "n with the least prime factor above 2^20"
        ),
        "step-1001.pub": Good(
            public(FERMAT_1001), "3 public key", "n that the step after the last one looked at would split"
        ),
        "alice.card": Good(
            envelope("card", {**own, "kem": kem_key("alice")}, signer="alice"), "3 card", "a card"
        ),
        "alice.id": Good(
            envelope("identity", {**own, "secret": {"clear": both}}), "3 identity", "its identity"
        ),
        "sealed.id": Good(
            envelope("identity", {**own, "secret": under_passphrase(both, pack(card("alice")))}),
            "3 identity",
            "the same under the passphrase",
        ),
        "shared.pub": Good(public(r.SAFE_N, dealing=r.DEALING), "3 public key", "a key in 4 shares, 3 open"),
        "shared-1.share": Good(r.share(), "3 share", "its first share"),
        "sealed-1.share": Good(r.share(secret=sealed_share), "3 share", "the same under the passphrase"),
        "boxed-1.share": Good(r.share(secret=boxed_share), "3 share", "the same sealed to alice's card"),
    }


def enrollments(round_: str, plan: Map) -> dict[str, Good]:
    """Make what all parties of a round enroll with."""
    return {
        f"{round_}-{name}.enroll": Good(r.enrollment_of(plan, name), "3 enrollment", f"{name} enrolls in it")
        for name in plan["roster"]["parties"]
    }


def open_round() -> dict[str, Good]:
    """Make the round without a roster, and what its sum does to a model."""
    model = little("ff", *MODEL[:2]) + little("4d", *MODEL[2:])
    mean = means()
    moved = [value - 0.1 * step for value, step in zip(MODEL, mean, strict=True)]
    added = [value + step for value, step in zip(MODEL, mean, strict=True)]
    whole: Map = {
        **PLAN,
        "tensors": [["n", "int16", [3]]],
        "codec": [{**r.QUANTISE, "steps": [1.0]}, r.PACK],
    }
    skipping: Map = {**whole, "skipped": ["m", "z"]}
    header: Map = {
        "contributors": [["a", bytes(32)], ["b", bytes([1] * 32)]],
        "aggregate": bytes(32),
        "weight": 20,
        "clipped": 0,
    }
    items = PLAN["tensors"]

    def packed(values: list[float]) -> bytes:
        return tensors(items, little("ff", *values[:2]) + little("4d", *values[2:]))

    def integers(dtype: str, layout: str, values: Sequence[float]) -> bytes:
        # Python rounds ties to even, too.
        return tensors([["n", dtype, [3]]], little(layout, *(round(value) for value in values)))

    def more(values: list[int]) -> bytes:
        """Make a model with a tensor that the round skips."""
        found = little("d", math.nan) + little("3B", *values)
        return tensors([["m", "float64", [1]], ["n", "uint8", [3]]], found)

    halves = [0.5, 0.0, -2.0]
    later = "\U00011131\U00011127"
    return {
        "round.plan": Good(plan_file(PLAN), "3 plan", "the plan of the open round"),
        "default.plan": Good(plan_file(r.DEFAULT_PLAN), "3 plan", "the default plan for the same tensors"),
        "least-step.plan": Good(
            tensors_of(["w", "int8", [1]], step=2.0**-512), "3 plan", "the least step there may be"
        ),
        "largest-step.plan": Good(
            tensors_of(["w", "int8", [1]], step=math.nextafter(2.0**512, 0)), "3 plan", "the largest step"
        ),
        "a.int": Good(follows(PLAN, "encoded", {}, r.ENCODED), "3 encoded", "party a's lanes"),
        "a.enc": Good(r.UPDATE_A, "3 update", "party a's update: weight 10, one value clipped"),
        "unnamed.enc": Good(r.UPDATE_B, "3 update", "one without a name: weight 5"),
        "later-name.enc": Good(
            follows(
                PLAN,
                "update",
                {"party": later, "salt": r.APART},
                r.update_body(PLAN, r.NUMBERS_A, 1001, later),
            ),
            "2",
            "a name that composes in Unicode 6.1, and so not in Unicode 3.2",
        ),
        "signed-without-roster.enc": Good(
            follows(
                PLAN,
                "update",
                {"party": "alice", "salt": r.APART},
                r.update_body(PLAN, r.NUMBERS_A, 1001, "alice", "alice"),
                signer="alice",
            ),
            "1 signatures",
            "a signature that nobody asks for",
        ),
        "groups.enc": Good(
            r.wide_update(), "9", "an update of four groups, in chunks of 21 groups, with short exponents"
        ),
        "round.agg": Good(r.AGGREGATE, "3 aggregate", "both updates"),
        "round.sum": Good(follows(PLAN, "sum", r.SUM_HEADER, r.SUM), "3 sum", "the sum"),
        "round.tensors": Good(packed(mean), "5", "its mean"),
        "model.tensors": Good(tensors(items, model), "3 tensors", "a model"),
        "model-sgd.tensors": Good(packed(moved), "5", "the model after `sgd` with a rate of 0.1"),
        "model-add.tensors": Good(packed(added), "5", "the model after `add`"),
        "integers.sum": Good(
            follows(whole, "sum", header, r.sum_body(whole, [255, 254, 250], header, (1001, 2001))),
            "3 sum",
            "a sum of integers",
        ),
        "integers.tensors": Good(
            integers("int16", "3h", halves), "5", "its mean, of which 0.5 is rounded to 0"
        ),
        "counters.tensors": Good(integers("uint8", "3B", COUNTERS), "3 tensors", "a model of integers"),
        "counters-sgd.tensors": Good(
            integers("uint8", "3B", [old - 0.25 * step for old, step in zip(COUNTERS, halves, strict=True)]),
            "5",
            "the model after `sgd` with a rate of 0.25",
        ),
        "counters-add.tensors": Good(
            integers("uint8", "3B", [old + step for old, step in zip(COUNTERS, halves, strict=True)]),
            "5",
            "the model after `add`",
        ),
        "skipping.plan": Good(plan_file(skipping), "3 plan", "one that skips two tensors"),
        "skipping.sum": Good(
            follows(skipping, "sum", header, r.sum_body(skipping, [255, 254, 250], header, (1001, 2001))),
            "3 sum",
            "a sum by it",
        ),
        "more.tensors": Good(more(COUNTERS), "3 tensors", "a model with one of them, which is not a number"),
        "more-add.tensors": Good(more([2, 3, 251]), "5", "the model after `add`"),
        "some.tensors": Good(
            tensors([["b", "float16", [1]], ["w", "int32", [2, 1]]], little("eii", 1.5, -1, 7)),
            "3 tensors",
            "1.5 and -1, 7",
        ),
        "sorted.tensors": Good(
            tensors([["\uff21", "int8", [1]], ["\U00010000", "int8", [1]]], b"12"),
            "2",
            "names in the order of UTF-8, which is not that of UTF-16",
        ),
        "two-chunks.tensors": Good(
            tensors([["w", "uint8", [(1 << 20) + 3]]], bytes((1 << 20) + 3)), "1", "zeros in two chunks"
        ),
    }


def other_rounds() -> dict[str, Good]:
    """Make the rounds with a roster, with a key in shares, and with masks; and a ledger."""
    shared: Map = {
        **r.DEFAULT_PLAN,
        "scheme": {**r.DEFAULT_PLAN["scheme"], "key": integer(r.SAFE_N), "opens": r.OPENS},
    }
    files = {
        "signed.plan": Good(plan_file(r.SIGNED_PLAN), "3 plan", "a plan with a roster"),
        "alice.enc": Good(r.SIGNED_A, "3 update", "a's update, now alice's"),
        "bob.enc": Good(r.SIGNED_B, "3 update", "the other, now bob's"),
        "signed.agg": Good(r.SIGNED_AGGREGATE, "3 aggregate", "both, signed by bob"),
        "signed.sum": Good(
            follows(r.SIGNED_PLAN, "sum", r.SIGNED_SUM_HEADER, r.SIGNED_SUM, signer="anna"),
            "3 sum",
            "their sum, signed by anna",
        ),
        "shared.plan": Good(plan_file(r.SHARED_PLAN), "3 plan", "for the key in shares"),
        "default-shared.plan": Good(plan_file(shared), "3 plan", "the default plan for the key in shares"),
        "shared.agg": Good(r.SHARED_AGGREGATE, "3 aggregate", "two updates under it"),
        "shared-1.part": Good(r.partial(1), "7", "what share 1 contributes to opening it"),
        "shared-3.part": Good(r.partial(3), "7", "what share 3 contributes"),
        "shared-4.part": Good(r.partial(4), "7", "what share 4 contributes"),
        "hidden.plan": Good(plan_file(r.HIDDEN_PLAN), "3 plan", "a key, and masks"),
        **enrollments("hidden", r.HIDDEN_PLAN),
        "hidden-alice.enc": Good(r.HIDDEN_UPDATES[0], "8", "alice's update, masked and encrypted"),
        "hidden-bob.enc": Good(r.HIDDEN_UPDATES[1], "8", "bob's"),
        "hidden.agg": Good(r.HIDDEN_AGGREGATE, "8", "both"),
        "masked.plan": Good(plan_file(r.MASKED_PLAN), "3 plan", "masks, and no key"),
        **enrollments("masked", r.MASKED_PLAN),
        "masked-alice.enc": Good(r.MASKED_UPDATES[0], "8", "alice's update, masked"),
        "masked-bob.enc": Good(r.MASKED_UPDATES[1], "8", "bob's"),
        "masked.agg": Good(r.MASKED_AGGREGATE, "8", "both"),
        "dropouts.plan": Good(plan_file(r.DROPOUT_PLAN), "3 plan", "masks, and one party may drop out"),
        **{f"{name}.enroll": Good(r.enrollment(name), "3 enrollment", f"{name} enrolls") for name in r.FOUR},
        "dropouts-alice.enc": Good(r.DROPOUT_UPDATES[0], "8", "alice's update, doubly masked"),
        "dropouts-bob.enc": Good(r.DROPOUT_UPDATES[1], "8", "bob's; carol drops out"),
        "dropouts-dora.enc": Good(r.DROPOUT_UPDATES[2], "8", "dora's, all zeros"),
        "dropouts.agg": Good(r.DROPOUT_AGGREGATE, "8", "the three"),
        "bob.ans": Good(r.answer("bob"), "3 answer", "bob answers about it"),
        "carol.ans": Good(r.answer("carol"), "3 answer", "carol answers about it"),
        "dora.ans": Good(r.answer("dora"), "3 answer", "dora answers about it"),
        "parts.plan": Good(
            plan_file(r.PARTS_PLAN), "3 plan", "bias under masks alone, two of the weights in the clear"
        ),
        **enrollments("parts-two", r.PARTS_PLAN),
        "parts-alice.enc": Good(r.PARTS_UPDATES[0], "3 update", "alice's update in three parts"),
        "parts-bob.enc": Good(r.PARTS_UPDATES[1], "3 update", "bob's"),
        "parts.agg": Good(r.PARTS_AGGREGATE, "3 aggregate", "both"),
        "parts.sum": Good(r.parts_sum(r.BOTH), "3 sum", "their sum"),
        "parts-dropouts.plan": Good(
            plan_file(r.PARTS_DROPOUT_PLAN), "3 plan", "a part under masks alone, and one party may drop out"
        ),
        **enrollments("parts", r.PARTS_DROPOUT_PLAN),
        **{
            f"parts-dropouts-{name}.enc": Good(data, "8", f"{name}'s update in it")
            for name, data in zip(r.DROPOUT_PARTIES, r.PARTS_DROPOUT_UPDATES, strict=True)
        },
        "parts-dropouts.agg": Good(r.PARTS_DROPOUT_AGGREGATE, "8", "the three; carol drops out"),
        **{
            f"parts-{name}.ans": Good(
                r.answer(name, plan=r.PARTS_DROPOUT_PLAN, enrolled=r.PARTS_ENROLLED),
                "3 answer",
                f"{name} answers about it",
            )
            for name in ("bob", "carol", "dora")
        },
        "alice.att": Good(
            follows(r.SIGNED_PLAN, "attestation", r.ATTESTATION, signer="alice"),
            "3 attestation",
            "alice attests signed.agg",
        ),
        "00000001.entry": Good(r.FIRST, "3 entry", "a ledger begins"),
        "00000002.entry": Good(
            envelope("entry", r.SECOND_ENTRY, signer="anna", plan=plan_digest(r.SIGNED_PLAN)),
            "3 entry",
            "its second entry",
        ),
    }
    uses = [[bytes(32), bytes(32)], [bytes(32), plan_digest(PLAN)]]
    return files | {
        "key.opened": Good(envelope("use record", {"uses": uses}), "3 use record", "two uses of a secret"),
        "anna.id.ledgers": Good(
            envelope("checkpoint", {"ledgers": r.CHECKPOINTS}), "3 checkpoint", "what anna saw of two ledgers"
        ),
    }


def smaller() -> dict[str, Good]:
    """Make rounds that are compressed."""
    return {
        "whole.plan": Good(plan_file(s.WHOLE), "4", "a round whose lanes are in mixed radix"),
        "whole-a.enc": Good(s.WHOLE_FILES[0], "4", "a's update"),
        "whole.sum": Good(s.WHOLE_SUM, "4", "its sum"),
        "right.basis": Good(s.RIGHT_FILE, "5", "the basis of rank 1 that is made from it"),
        "small.plan": Good(plan_file(s.SMALL), "4", "a round of low rank, rotated, and of that a sample"),
        "small-a.enc": Good(s.SMALL_FILES[0], "4", "a's update"),
        "small.agg": Good(s.SMALL_FILES[2], "4", "a's and b's"),
        "small.sum": Good(s.SMALL_SUM, "5", "their sum"),
        "small.tensors": Good(s.MEAN, "5", "its mean"),
        "left.basis": Good(s.LEFT_FILE, "5", "the basis that is made from it"),
        "small-2.plan": Good(plan_file(s.NEXT), "5", "the plan of the round after it"),
        "turned.plan": Good(plan_file(s.TURNED), "4", "a plan that rotates, of 12 bits"),
        "turned.tensors": Good(s.TURNED_TENSORS, "4", "whole numbers"),
        "turned.int": Good(s.ENCODED, "4", "what all make of them"),
        "digits.plan": Good(plan_file(s.DIGITS), "4", "a plan of 3 bits, and three lanes for a value"),
        "digits.tensors": Good(s.DIGIT_TENSORS, "4", "tensors for it"),
        "digits.int": Good(s.DIGITS_ENCODED, "4", "what all make of them"),
        "pending.residual": Good(s.PENDING, "3 residual", "what a party keeps after an update"),
        "settled.residual": Good(s.SETTLED, "3 residual", "what it keeps after the sum"),
    }


def noisy() -> dict[str, Good]:
    """Make rounds with noise."""
    return {
        "noisy.plan": Good(plan_file(o.NOISY), "4", "a round with noise that protects parties"),
        "noisy.int": Good(o.encoded(o.NOISY, o.ALICE), "4", "alice's lanes, before noise"),
        "noisy-alice.enc": Good(o.NOISY_A, "4", "alice's update, with noise"),
        "noisy-bob.enc": Good(o.NOISY_B, "4", "bob's"),
        "noisy.agg": Good(o.AGGREGATE, "4", "both"),
        "noisy.sum": Good(o.total(), "4", "their sum"),
        "record.plan": Good(plan_file(o.RECORD), "4", "a round with noise that protects records, rotated"),
        "alice.id.spent": Good(o.account(o.SPENT), "3 account", "what alice spent in three rounds"),
        "winter.training": Good(t.training_file(o.TRAINING), "3 training", "a training with noise"),
        "winter-0001.plan": Good(plan_file(o.FIRST_PLAN), "10", "the plan of its round 1"),
    }


def training() -> dict[str, Good]:
    """Make a training: its terms, a round, and the plans that follow."""
    entries = {
        f"spring-{number:08}.entry": Good(data, "10", f"{event[1]}, {event[0]}: {event[4]}")
        for number, (data, event) in enumerate(zip(t.entries(), t.EVENTS, strict=True), 1)
    }
    return {
        "spring.training": Good(
            t.training_file(t.TRAINING), "3 training", "the terms of a training, with metrics and a goal"
        ),
        "spring-0000.tensors": Good(t.MODEL, "10", "its first model"),
        "spring-0001.plan": Good(plan_file(t.FIRST_PLAN), "10", "the plan of its round 1"),
        "spring-alice.enc": Good(t.UPDATES[0], "10", "alice's update: weight 4"),
        "spring-bob.enc": Good(t.UPDATES[1], "10", "bob's: weight 2, and one metric was not measured"),
        "spring-0001.agg": Good(t.AGGREGATE, "10", "both"),
        "spring-0001.sum": Good(t.SUM, "10", "their sum"),
        "spring-0001.tensors": Good(t.MOVED, "10", "the model after round 1"),
        "spring-0002.plan": Good(plan_file(t.SECOND_PLAN), "10", "the plan of round 2"),
        "spring-0002-2.plan": Good(plan_file(t.THIRD_PLAN), "10", "the plan of attempt 2 at it"),
        "ranged.training": Good(
            t.training_file(t.RANGED),
            "3 training",
            "another training: a range, rotated, one tensor masked, one plain",
        ),
        "ranged-0001-2.plan": Good(
            plan_file(t.RANGED_PLAN), "10", "the plan of attempt 2 at its round 1, for the same model"
        ),
        **entries,
    }


def slices() -> dict[str, Good]:
    """Make slices, of which `join` makes the whole files."""
    files = {
        "round-1.slice": Good(r.SLICE_LANES, "3 slice", "of `round.agg` its lanes"),
        "round-2.slice": Good(r.SLICE_CONTROL, "3 slice", "of `round.agg` its control block"),
        "round-none.slice": Good(r.SLICE_NONE, "3 slice", "of `round.agg` nothing"),
    }
    for name, whole, made in (
        ("sum", "round.sum", r.SUM_SLICES),
        ("shared-1.part", "shared-1.part", r.PARTIAL_SLICES),
        ("alice.att", "alice.att", r.ATTESTED_SLICES),
        ("parts", "parts.agg", r.PARTS_SLICES),
    ):
        for number, (data, half) in enumerate(zip(made, ("first", "second"), strict=True), 1):
            files[f"{name}-{number}.slice"] = Good(data, "3 slice", f"the {half} half of `{whole}`")
    return files


def table(good: dict[str, Good], faults: dict[str, Fault]) -> str:
    """Write the tables of README.md."""
    lines = [
        "# Test vectors",
        "",
        "One file for each rule of [the format](../../docs/format.md), made by `make.py` of integers,",
        "msgpack, hashlib and `cryptography` alone; `make vectors` makes them, and this table, again.",
        "`index.json` holds the passphrase, the digests of the good files, and of each bad one what it is",
        "used for and words of hecli's error. Another implementation need not say the same, but MUST refuse.",
        "Of the training `spring` it has the metrics of round 1, what the record of a key has of opening it,",
        "and by the numbers of entries, which are those in `spring-00000001.entry` and so on, what counts in",
        "its ledger.",
        "",
        "A bad file has one fault: its digests are true, and where it is signed, so is its signature. It is",
        "refused when it is read to its end (`inspect`) or, where the fault shows only then, when it is",
        "used:",
        "",
        "| use | what is done with the file |",
        "|---|---|",
        "| `inspect` | it is read, checked and described |",
        "| `open` | a key, share or identity is read with the passphrase and as alice |",
        "| `encrypt` | an update is encrypted under this plan |",
        "| `aggregate` | it is combined with the other file |",
        "| `decrypt` | it is opened with `key.key`, or without a key in the scheme `masks` |",
        "| `verify` | this sum is checked against the other file |",
        "| `combine` | this partial and the other open `shared.agg` |",
        "| `join` | it is joined with the other files |",
        "| `mask` | alice makes an update with this enrollment of bob's and the others |",
        "| `unmask` | this answer and the other open `dropouts.agg`, with all four enrollments |",
        "",
        "## Good files",
        "",
        "| file | section | what |",
        "|---|---|---|",
        *(f"| `{name}` | {each.rule} | {each.what} |" for name, each in good.items()),
        "",
        "## Bad files",
        "",
        "| file | section | use | words of the error |",
        "|---|---|---|---|",
        *(f"| `{name}` | {each.rule} | {each.use} | {each.says} |" for name, each in faults.items()),
    ]
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write everything below `folder`."""
    good = keys() | open_round() | other_rounds() | slices() | smaller() | noisy() | training()
    faults = bad()
    for name, files in (("good", good), ("bad", faults)):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        for file, each in files.items():
            (folder / name / file).write_bytes(each.data)
    index = {
        "passphrase": PASSPHRASE,
        "metrics": t.METRICS,
        "opened": t.USED.hex(),
        "ledger": t.COUNT,
        "good": {name: file_digest(each.data).hex() for name, each in good.items()},
        "bad": {name: {"says": each.says, "use": each.use} for name, each in faults.items()},
    }
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    (folder / "README.md").write_text(table(good, faults))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
