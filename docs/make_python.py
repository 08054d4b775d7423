"""Write docs/python.md from the docstrings of what hecli has: `make docs`. A test checks it is up to date."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docstring_parser import Docstring, DocstringStyle, parse

import hecli

HERE = Path(__file__).parent

GROUPS = {
    "A round": [
        "make_plan",
        "encode",
        "encrypt",
        "aggregate",
        "decrypt",
        "mean",
        "next_model",
        "apply",
        "next_plan",
        "join",
    ],
    "Without a single keyholder": [
        "deal",
        "partial",
        "combine",
        "enroll",
        "answer",
        "Masks",
        "Masking",
        "Paillier",
    ],
    "To look and to check": ["inspect", "verify", "verify_aggregate", "verify_slice", "verify_sum", "attest"],
    "Smaller updates, noise, and values in the clear": [
        "make_basis",
        "read_basis",
        "settle",
        "Asked",
        "spending",
        "plain_by_sensitivity",
    ],
    "Keys and people": [
        "keygen",
        "PublicKey",
        "PrivateKey",
        "Share",
        "Identity",
        "Card",
        "Roster",
        "Plan",
    ],
    "Their files": [
        *[
            "read_public_key",
            "write_public_key",
            "read_private_key",
            "write_private_key",
            "read_share",
            "write_share",
        ],
        *[
            "read_identity",
            "write_identity",
            "read_card",
            "write_card",
            "read_plan",
            "write_plan",
            "read_jwk",
            "write_jwk",
        ],
    ],
    "What goes wrong": ["HecliError"],
}
"""Every public name, as the page groups them."""

MEMBERS = {
    "Card": ["fingerprint"],
    "Identity": ["generate"],
    "Paillier": ["of"],
    "PrivateKey": ["public"],
    "PublicKey": ["fingerprint"],
    "Roster": ["of"],
}
"""What of a class is of use beside how it is made."""

INTRODUCTION = """\
# From Python

Generated from docstrings by `make docs`. The [README](../README.md#from-python) has a whole round.
"""


def page() -> str:
    """The whole page."""
    about = re.sub(r"\n\n((?:    .*\n|\n)+)\n", _fenced, inspect.getdoc(hecli) or "")
    parts = [INTRODUCTION, about]
    for title, names in GROUPS.items():
        parts.append(f"\n## {title}\n")
        for name in names:
            parts += _entry(name, getattr(hecli, name))
    return "\n".join(parts) + "\n"


def _fenced(found: re.Match[str]) -> str:
    """Indented code, as a block of Python."""
    return f"\n\n```python\n{inspect.cleandoc(found[1])}\n```\n\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    """One function or class."""
    yield f"### `hecli.{name}`\n\n```python\n{_call(name, value)}\n```\n"
    yield from _explained(_docstring(value))
    for each in MEMBERS.get(name, ()):
        yield f"`{name}.{each}`: {_docstring(getattr(value, each)).short_description}\n"


def _docstring(value: Any) -> Docstring:
    """What is said of it, in parts."""
    return parse(inspect.getdoc(value) or "", DocstringStyle.GOOGLE)


def _explained(text: Docstring) -> Iterator[str]:
    """What a docstring says."""
    yield f"{text.short_description}\n"
    if text.long_description:
        yield f"{text.long_description}\n"
    if text.params:
        yield "\n".join(f"- `{each.arg_name}`: {_line(each.description)}" for each in text.params) + "\n"
    if text.returns:
        yield f"Returns: {_line(text.returns.description)}\n"
    if text.raises:
        yield "Raises:\n"
        yield "\n".join(f"- `{each.type_name}`: {_line(each.description)}" for each in text.raises) + "\n"


def _call(name: str, value: Any) -> str:
    """How it is called: names and defaults, on as many lines as it takes."""
    words, star = [], False
    for each in inspect.signature(value).parameters.values():
        if each.kind is each.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        if each.default is each.empty:
            words.append(each.name)
        else:
            default = "..." if callable(each.default) else repr(each.default).replace("'", '"')
            words.append(f"{each.name}={default}")
    line = f"hecli.{name}({', '.join(words)})"
    return line if len(line) <= 88 else f"hecli.{name}(\n    " + ",\n    ".join(words) + ",\n)"


def _line(text: str | None) -> str:
    """Text of a docstring, on one line."""
    return " ".join((text or "").split())


if __name__ == "__main__":
    (HERE / "python.md").write_text(page())
