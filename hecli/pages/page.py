"""The frame of a page: its style by day, by night and in print, tables that can be sorted, and figures."""

from collections.abc import Sequence
from html import escape as escaped
from importlib import resources
from typing import NamedTuple

from hecli.formats.text import visible


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        text: What it shows.
        key: What rows are sorted by; None where that is the text.
        kind: A class of the style, such as `yes`; none for an ordinary one.
        small: What stands under it in small letters.
    """

    text: str
    key: float | None = None
    kind: str = ""
    small: str = ""


def page(title: str, parts: Sequence[str]) -> str:
    """Make a page.

    Args:
        title: Its title.
        parts: What is on it, as HTML.

    Returns:
        The whole of it.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_file('style.css')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + f"\n</main>\n<script>{_file('sort.js')}</script>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Write a heading.

    Args:
        text: It.
        level: 1 for the page's own, 2 for that of a part.

    Returns:
        It, as HTML.
    """
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Write a paragraph.

    Args:
        text: It.
        kind: A class of the style; none for an ordinary one.

    Returns:
        It, as HTML.
    """
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> str:
    """Write a table, which a click on a title sorts, and which scrolls where it is wider than the page.

    Args:
        columns: The titles.
        rows: The cells; the first of each row names it.
        caption: What it shows.

    Returns:
        It, as HTML.
    """
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(each)}</button></th>'
        for each in columns
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, first=not at) for at, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figures(charts: Sequence[tuple[str, str, str]]) -> str:
    """Put charts beside each other, as many as there is room for.

    Args:
        charts: Of each its title, its picture, and its key as HTML.

    Returns:
        Them, as HTML.
    """
    made = "".join(
        f"<figure><figcaption>{escape(title)}</figcaption>{picture}{key}</figure>"
        for title, picture, key in charts
    )
    return f'<div class="figures">{made}</div>'


def key(names: Sequence[tuple[int, str]]) -> str:
    """Say what a chart's colours mean.

    Args:
        names: The number of each colour, and what has it.

    Returns:
        It, as HTML.
    """
    items = "".join(
        f'<li><span style="background:var(--c{colour % 10})"></span>{escape(name)}</li>'
        for colour, name in names
    )
    return f'<ul class="key">{items}</ul>'


def escape(text: str) -> str:
    """Write a text as it is seen, whatever it would do to those around it.

    Args:
        text: The text.

    Returns:
        It, as HTML.
    """
    return escaped(visible(text))


def _cell(cell: Cell, *, first: bool) -> str:
    tag = 'th scope="row"' if first else "td"
    kind = f' class="{cell.kind}"' if cell.kind else ""
    by = "" if cell.key is None else f' data-key="{cell.key!r}"'
    small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
    return f"<{tag}{kind}{by}>{escape(cell.text)}{small}</{tag.split(maxsplit=1)[0]}>"


def _file(name: str) -> str:
    return resources.files("hecli.pages").joinpath(name).read_text(encoding="utf-8")
