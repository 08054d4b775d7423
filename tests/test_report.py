"""Pages as a browser shows them: nothing is loaded, goes wrong, or is wider than the window."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from hecli.compare.exposure import exposures
from hecli.compare.report import report
from hecli.compare.techniques import TECHNIQUES
from hecli.pages.charts import Series, dots, lines
from hecli.pages.page import Cell, figures, heading, key, page, paragraph, table
from hecli.training.terms import Goal
from tests.test_training import _with_losses

LIMIT = 2_000_000


def found_with(*, trained, rounds=12):
    """A comparison, as long as the longest there is, with texts that no page may run as code."""
    rows = []
    for at, (name, technique) in enumerate(TECHNIQUES.items()):
        end = 0.95 - 0.01 * (at % 7)
        row = {
            "technique": name,
            "title": technique.title if name != "dp" else "noise <script>alert(1)</script> &",
            "failure": "it was <b>too</b> slow" if name == "sample" else None,
            "figures": {
                "bytes": 12_345.0 * (at + 1),
                "besides": 0,
                "party": 0.4 + at / 10,
                "aggregator": 0.2,
                "opening": 0.5 * (at + 1),
                "memory": 57_000_000,
                "error": 1.2e-4 * at,
                "largest": 1e-4,
                "extrapolated": at % 2 == 0,
            },
            "post_quantum": technique.quantum,
            "noise": technique.noise,
            "learns": {who: each._asdict() for who, each in exposures(technique, 4).items()},
            "extra_steps": technique.steps(4),
            "dropouts": technique.survived(4),
        }
        if trained:
            mean = [end * (1 - 0.5 ** (number + 1)) for number in range(rounds)]
            row |= {
                "accuracy": {"mean": mean, "spread": [0.01] * rounds},
                "sent": [12_345 * (at + 1)] * rounds,
                "reached": [{"accuracy": 0.9, "rounds": 4, "bytes": 10_000 * at}],
                "points": -at / 10,
                "epsilon": 8.0 if technique.noise else None,
            }
        rows.append(row)
    found = {
        "version": "1", "machine": "a machine", "cores": 2, "arithmetic": "gmpy2", "key_bits": 3072,
        "parties": 4, "values": 9610, "perturbed": 0 if trained else 3,
        "noise": {"unit": "record", "epsilon": 8.0, "clip": 1.5, "rounds": 20},
        "recommendation": {"technique": "masks", "text": "Take 'masks': it is good. But it is not all."},
        "rows": rows,
    }  # fmt: skip
    if trained:
        beside = [
            {
                "name": name,
                "title": name,
                "accuracy": {"mean": mean, "spread": [0.0] * rounds},
                "epsilon": None,
            }
            for name, mean in (("alone", [0.5] * rounds), ("pooled", [0.97] * rounds))
        ]
        averaging = beside[1] | {"name": "averaged"}
        found |= {
            "records": 1000, "held_out": 200, "classes": 10, "split": "iid", "rounds": rounds, "seeds": 3,
            "beside": beside, "averaging": averaging, "reach": [0.9],
            "epsilons": [{"epsilon": each, "accuracy": {"mean": 0.9, "spread": 0.01}} for each in (1, 2, 4)],
        }  # fmt: skip
    return found


class Loads(HTMLParser):
    """What a page would load, and the elements that it has."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.tags, self.names = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action") and not value.startswith("#"):
                self.loaded.append(value)
            if name == "id":
                self.names.append(value)


@pytest.mark.parametrize("trained", [True, False])
def test_a_page_loads_nothing_and_says_what_charts_show(trained):
    text = report(found_with(trained=trained))
    assert len(text) < LIMIT
    seen = Loads(text)
    assert seen.loaded == []
    assert "url(http" not in text
    assert "@import" not in text
    # No two parts of a page have one name.
    assert len(seen.names) == len(set(seen.names))
    assert seen.tags.count("svg") == (5 if trained else 2)
    assert len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]{20,}"', text)) == seen.tags.count("svg")
    # Colours are the page's, one by day and one by night.
    assert not re.findall(r"(?:fill|stroke): #(?!fff)", text)
    assert seen.tags.count("script") == 1
    assert "noise &lt;script&gt;" in text
    assert "it was &lt;b&gt;too&lt;/b&gt; slow" in text


def test_the_status_of_a_training_is_such_a_page(tmp_path, run):
    scene, _ = _with_losses(tmp_path, [5, 2, 3], Goal("loss", False, None, 0))
    target = tmp_path / "status.html"
    assert run("status", scene.shared, "--html", target)[0] == 0
    text = target.read_text()
    seen = Loads(text)
    assert seen.loaded == []
    assert seen.tags.count("svg") == 1
    assert 'aria-label="loss of each round: 5 at first, 3 at the end."' in text
    assert len(re.findall("<tr>", text)) == 4
    status, _, errors = run("status", scene.shared, "--html", target)
    assert status == 1
    assert "--force" in errors


def test_charts_refuse_to_be_drawn_without_what_draws_them(monkeypatch, run, tmp_path):
    monkeypatch.setattr("hecli.pages.charts.find_spec", lambda _: None)
    monkeypatch.chdir(tmp_path)
    status, _, errors = run("compare", "x.npz", "--parties", 2, "--html", "page.html")
    assert status == 1
    assert "hecli[charts]" in errors


@pytest.mark.parametrize(
    "name", ["损失", "$\\frac{$", "_x", "a\nb", "\x1b[2J", "😀", "\udcff", "x" * 300, "</text><b>"]
)
def test_charts_take_any_name(name):
    curve = lines([Series(name, [1, 2], [1.0, 2.0], (), 0, name[:3])], "round", name, f"{name} falls")
    rows = dots([name, "b"], [Series(name, [1.0, 2.0], [0, 1])], "kB", f"{name} of two")
    assert "<b>" not in curve + rows
    assert "\x1b" not in curve + rows


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def charts_of_status():
    curve = lines(
        [Series("loss", range(1, 9), [2.0 / n for n in range(1, 9)])], "round", "loss", "Loss falls."
    )
    rows = dots(["a", "b"], [Series("x", [1.0, None], [0, 1])], "seconds", "Seconds of two.")
    cells = [[Cell(f"{number}"), Cell("x" * 40)] for number in range(30)]
    parts = [heading("a training", 1), figures([("loss", curve, key([(0, "loss")])), ("s", rows, "")])]
    return page("a training", [*parts, table(["round", "what"], cells, "Each round"), paragraph("h" * 300)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["trained", "tensors", "status"])
def test_a_browser_shows_it(kind, scheme, width, browser, tmp_path):
    text = charts_of_status() if kind == "status" else report(found_with(trained=kind == "trained"))
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    view = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    wrong, asked = [], []
    view.on("console", lambda message: wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto((tmp_path / "page.html").as_uri())
    assert wrong == []
    assert asked == [(tmp_path / "page.html").as_uri()]
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    for chart in view.query_selector_all("svg"):
        box = chart.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] > 60
    # Letters in charts can be read.
    sizes = view.evaluate(
        "[...document.querySelectorAll('svg text')].map(each => each.getBoundingClientRect().height)"
    )
    assert min(sizes) > 7
    ink, paper = view.evaluate(
        "['color', 'backgroundColor'].map(each => getComputedStyle(document.body)[each])"
    )
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (light[0] < light[1]) == (scheme == "light")
    if kind == "trained":
        titles = view.locator("table").first.locator("thead button")
        at = titles.all_text_contents().index("up")
        keys = f"[...document.querySelector('tbody').rows].map(row => +row.cells[{at}].dataset.key)"
        for order in (sorted, lambda some: sorted(some, reverse=True)):
            titles.nth(at).click()
            assert view.evaluate(keys) == order(view.evaluate(keys))
    view.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_paper_holds_all_columns(browser, tmp_path):
    (tmp_path / "page.html").write_text(report(found_with(trained=True)), encoding="utf-8")
    # What A4 has across, less its margins.
    width = 1030
    view = browser.new_page(viewport={"width": width, "height": 700}, color_scheme="dark")
    view.emulate_media(media="print")
    view.goto((tmp_path / "page.html").as_uri())
    for each in view.query_selector_all("table"):
        box = each.bounding_box()
        assert box["x"] + box["width"] <= width
    # It is white by night, too.
    assert view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    view.close()
