"""Take the pictures that README shows of the report: `make pictures`, behind `make report`."""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
REPORT = HERE.parent / "build" / "report" / "report.html"
PICTURES = {"charts": ".figures", "exposure": ".grid"}
"""The pictures, and what each is of."""

WIDTH = 1100


def main() -> None:
    """Take each by day and by night."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme=scheme)
            page.goto(REPORT.as_uri())
            for name, part in PICTURES.items():
                page.locator(part).first.screenshot(path=folder / f"{name}{suffix}.png")


if __name__ == "__main__":
    main()
