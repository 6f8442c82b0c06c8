"""Writes docs/pictures/*.png: what a browser shows of `jakwatch demo`.

python -m tools.page_pictures            needs the development packages and a Chromium, see `--help`

Not part of `make check`: the demo lives with the calendar, so no two days give the same picture. Look at them.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 900
HIGHEST_BYTES = 250_000
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_ADDRESS = re.compile(r"Open (http\S+)")
_PARTS = {  # picture -> from the top of the first to the bottom of the second
    "attention.png": ("header.top", "#live-cases"),
    "rates.png": ("#rates", "figure.rates"),
}


@contextmanager
def demo() -> Iterator[str]:
    """The address of a demo that lives until the end of the block."""
    command = [sys.executable, "-m", "monitor", "demo", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  this project's own program
    try:
        address = _ADDRESS.search(process.stdout.readline() if process.stdout else "")
        if address is None:
            raise SystemExit("the demo did not start")
        yield address[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def take(page: Page, first: str, last: str) -> bytes:
    """A picture from the top of one element to the bottom of another, as wide as the page."""
    top, end = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    if top is None or end is None:
        raise SystemExit(f"{first} or {last} is not on the page")
    height = end["y"] + end["height"] + 12 - top["y"]
    area: FloatRect = {"x": 0.0, "y": top["y"], "width": float(WIDTH), "height": height}
    return page.screenshot(clip=area, full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"), help="the browser")
    chromium = parser.parse_args().chromium
    PICTURES.mkdir(exist_ok=True)
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(address)
        page.locator("#live-holds a", has_text="lisbon").filter(has_text="demo").first.wait_for(state="attached")
        for name, (first, last) in _PARTS.items():
            picture = take(page, first, last)
            (PICTURES / name).write_bytes(picture)
            too_large = ", more than a README should load" if len(picture) > HIGHEST_BYTES else ""
            sys.stdout.write(f"{name}: {len(picture):,} bytes{too_large}\n")
        browser.close()


if __name__ == "__main__":
    main()
