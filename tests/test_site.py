"""The site of docs/: all pages, built without a warning, and read without a network."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest

from tests.support import HERE

DOCS = HERE.parent / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, and where it leads."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.leads = [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        for name in ("src", "href"):
            if found.get(name):
                (self.leads if tag == "a" else self.loads).append(found[name])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_what_is_there_and_nothing_else(site, name):
    page = Page(site / f"{name}.html")
    assert page.loads
    for each in page.loads:
        assert (site / each.partition("?")[0].partition("#")[0]).exists(), each


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_site_lead_somewhere(site, name):
    for each in Page(site / f"{name}.html").leads:
        if not each.startswith("https://"):
            assert (site / (each.partition("#")[0] or f"{name}.html")).exists(), each


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_its_language(site, name):
    language = "zh-CN" if name.endswith(".zh-CN") else "en"
    assert f' lang="{language}"' in (site / f"{name}.html").read_text().partition("<head>")[0]


def test_styles_load_nothing_from_elsewhere(site):
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert "url(http" not in style.read_text().replace('"', "").replace("'", "")


def test_the_first_page_leads_to_all_others(site):
    assert set(PAGES) <= {each.partition(".html")[0] for each in Page(site / "index.html").leads} | {"index"}
