"""The Chinese pages hold what the English ones hold, block for block.

Whether the words say the same is for a reader to judge. What is compared here
is the rest: headings by their levels, paragraphs, lists, tables cell by cell,
code line by line, and in each of them the figures, the names in code, the
links, and what is bold. Where a page has a Chinese one, Chinese pages link to that.
"""

import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tests.support import HERE

ROOT = HERE.parent


def chinese_of(page):
    return page.with_suffix(".zh-CN.md")


CHINESE = {
    page: chinese_of(page) for page in map(ROOT.joinpath, ("README.md", "docs/index.md", "docs/start.md"))
}
OTHER = CHINESE | {chinese: english for english, chinese in CHINESE.items()}

MARKDOWN = MarkdownIt().enable("table")
# Links stay as they are written.
MARKDOWN.normalizeLink = str
NUMBER = re.compile(r"(?:(?<![A-Za-z0-9])[+-])?\d+(?:,\d{3})*(?:\.\d+)?")


class Part(NamedTuple):
    """One thing that a page holds, and where."""

    what: str
    line: int
    section: str


def parts(text, lead=str):
    """What a page holds, in the order of its blocks; lead says what is expected where it has a link."""
    found, line, section = [], 1, ""
    for token in MARKDOWN.parse(text):
        line = token.map[0] + 1 if token.map else line
        if token.type == "inline":
            kind = found[-1].what
            if re.fullmatch(r"h\d", kind):
                section = token.content
                found[-1] = Part(kind, line, section)
            # Within a block, another language may have another order.
            found += [Part(what, line, section) for what in sorted(details(token, lead))]
        elif token.nesting >= 0:
            whats = [" ".join(filter(None, [token.tag, token.info, *map(str, token.attrs.values())]))]
            content = untold(token.content) if token.type == "html_block" else token.content
            whats += content.split("\n") if content else []
            found += [Part(what, line, section) for what in whats]
    return found


def details(token, lead):
    for each in token.children:
        match each.type:
            case "text":
                yield from numbers(each.content)
            case "code_inline":
                yield f"`{each.content}`"
            case "strong_open":
                yield "bold text"
            case "link_open":
                yield f"({lead(each.attrs['href'])})"
            case "image":
                yield f"!({each.attrs['src']})"
                yield from details(each, lead)
            case "html_inline":
                yield untold(each.content)


def untold(html):
    """HTML, and of the words that describe a picture only the figures."""
    return re.sub(r'(?<=alt=")[^"]*', lambda words: " ".join(numbers(words[0])), html)


def numbers(text):
    return [number.replace(",", "") for number in NUMBER.findall(text)]


def anchors(page):
    """Those of a page's headings, as GitHub makes them."""
    titles = [each.section for each in parts(page.read_text()) if re.fullmatch(r"h\d", each.what)]
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def in_chinese(page, link):
    """A link of an English page as its Chinese one has it."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if target not in OTHER:
        return link
    path = path and str(Path(path).with_name(OTHER[target].name))
    if not anchor:
        return path
    there = dict(zip(anchors(target), anchors(OTHER[target]), strict=False))
    return f"{path}#{there.get(anchor, anchor)}"


def differences(english, chinese, page=Path("page.md")):
    ours, theirs = parts(english, lambda link: in_chinese(page, link)), parts(chinese)
    matcher = SequenceMatcher(
        None, [each.what for each in ours], [each.what for each in theirs], autojunk=False
    )
    for tag, *bounds in matcher.get_opcodes():
        if tag != "equal":
            section = ours[min(bounds[0], len(ours) - 1)].section
            one, other = shown(page, ours, *bounds[:2]), shown(chinese_of(page), theirs, *bounds[2:])
            yield f"in {section!r}: {one}; {other}"


def shown(page, found, start, end):
    held = ", ".join(each.what for each in found[start:end]) or "nothing"
    return f"{page.name}:{found[min(start, len(found) - 1)].line} has {held}"


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_chinese_page_holds_the_same(page):
    found = list(differences(page.read_text(), CHINESE[page].read_text(), page))
    assert not found, "\n".join(found)


ENGLISH_PAGE = """# A page

Of 1,300 values **half** go; see [the other](other.md).

## What it costs

Between -0.5 and +1.6 % with `--rank 2`:

    hecli plan --rank 2

| | points |
|---|--:|
| a record | 12 |
| a party | 20 |

<picture>
<img src="cost.png" alt="Two bars of 12 and 20">
</picture>

## After that

- Nothing.
"""
CHINESE_PAGE = """# 页面

见[另一页](other.md): 1300 个值中**一半**会保留

## 代价

用 `--rank 2` 时在 +1.6% 和 -0.5% 之间:

    hecli plan --rank 2

| | 百分点 |
|---|--:|
| 记录 | 12 |
| 参与方 | 20 |

<picture>
<img src="cost.png" alt="两个柱子 12 和 20">
</picture>

## 然后

- 没有
"""


def test_words_and_their_order_may_differ():
    assert list(differences(ENGLISH_PAGE, CHINESE_PAGE)) == []


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        ("1300", "1400", "in 'A page': page.md:3 has 1300; page.zh-CN.md:3 has 1400"),
        ("-0.5", "0.5", "in 'What it costs': page.md:7 has -0.5; page.zh-CN.md:7 has 0.5"),
        (
            "plan --rank 2",
            "plan --rank 3",
            "has hecli plan --rank 2; page.zh-CN.md:9 has hecli plan --rank 3",
        ),
        ("`--rank 2`", "`--rank 4`", "page.md:7 has `--rank 2`; page.zh-CN.md:7 has `--rank 4`"),
        ("## 代价\n\n", "", "in 'What it costs': page.md:5 has h2; page.zh-CN.md:5 has nothing"),
        ("## 然后", "### 然后", "in 'After that': page.md:20 has h2; page.zh-CN.md:20 has h3"),
        ("- 没有\n", "", "in 'After that': page.md:22 has ul, li, p; page.zh-CN.md:20 has nothing"),
        ("other.md", "third.md", "has (other.md); page.zh-CN.md:3 has (third.md)"),
        ("**一半**", "一半", "page.md:3 has bold text; page.zh-CN.md:5 has nothing"),
        ("| 记录 | 12 |\n", "", "in 'What it costs': page.md:13 has 12, tr, td, td text-align:right"),
        ("| 12 |", "| 20 |", "in 'What it costs': page.md:13 has 12; page.zh-CN.md:13 has 20"),
        ("cost.png", "costs.png", 'page.md:16 has <img src="cost.png" alt="12 20">; page.zh-CN.md:16 has'),
        ("12 和 20", "12", 'alt="12 20">; page.zh-CN.md:16 has <img src="cost.png" alt="12">'),
        ("|---|--:|", "|---|---|", "page.md:11 has th text-align:right; page.zh-CN.md:11 has th"),
    ],
)
def test_what_differs_is_named(old, new, noticed):
    assert CHINESE_PAGE.count(old) == 1
    assert noticed in "\n".join(differences(ENGLISH_PAGE, CHINESE_PAGE.replace(old, new)))


def test_links_lead_to_chinese_pages_and_back():
    page = ROOT / "README.md"
    links = ("docs/start.md", "README.zh-CN.md", "docs/cli.md#hecli-plan", "https://flower.ai")
    assert [in_chinese(page, link) for link in links] == [
        "docs/start.zh-CN.md",
        "README.md",
        "docs/cli.md#hecli-plan",
        "https://flower.ai",
    ]


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# 在 Python 中使用\n\n## A, b: `C-d`\n")
    assert anchors(page) == ["在-python-中使用", "a-b-c-d"]
