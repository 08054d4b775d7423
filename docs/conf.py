"""How Sphinx makes the site of these pages: `make site`."""

import re
from typing import TYPE_CHECKING, Any

from hecli import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES = {
    "Begin": ["start", "training", "round", "compare"],
    "Trust": ["security", "privacy"],
    "Size and speed": ["smaller", "storage", "scale", "native"],
    "Look up": ["format", "cli", "python", "faq"],
    "The project": ["changelog", "contributing"],
    "中文": ["index.zh-CN", "start.zh-CN"],
}
"""The pages in their order, as the navigation groups them."""

project = "hecli"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# Links to #headings, as on GitHub.
myst_heading_anchors = 3
highlight_language = "text"
# Two hyphens are an option, not a dash.
smartquotes = False
html_theme = "furo"
html_title = "hecli"
html_copy_source = False
html_use_index = False
html_show_copyright = False


def _add_navigation(app: "Sphinx", name: str, text: list[str]) -> None:
    """Name all pages on the first one; in the file itself GitHub would show it."""
    del app
    if name == "index":
        for title, pages in PAGES.items():
            listed = "\n".join(pages)
            text[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"


def _stay_on_the_site(app: "Sphinx", name: str, text: list[str]) -> None:
    """Turn links that lead out of this folder into links to pages, or else into the names of the files."""
    del app, name
    text[0] = re.sub(
        r"\]\(\.\./(CHANGELOG|CONTRIBUTING)\.md", lambda found: f"]({found[1].lower()}.md", text[0]
    )
    text[0] = re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", text[0])


def _say_the_language(
    app: "Sphinx", name: str, template: str, context: dict[str, Any], *rest: object
) -> None:
    """Have browsers read, and break, the lines of a Chinese page as Chinese."""
    del app, template, rest
    if name.endswith(".zh-CN"):
        context["language"] = "zh-CN"


def setup(app: "Sphinx") -> None:
    """Have Sphinx call what is above.

    Args:
        app: Sphinx.
    """
    app.connect("source-read", _add_navigation)
    app.connect("source-read", _stay_on_the_site)
    app.connect("html-page-context", _say_the_language)
