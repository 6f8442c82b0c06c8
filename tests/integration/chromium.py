"""The Chromium of the system, driven without a word to anybody but this machine, and axe to look at its pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
# It needs no sandbox for pages of ours, and is to call nobody at home.
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync""".split()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test fails, and says what to do, where there is none."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("There is no Chromium. `make test` installs it; or set CHROMIUM to the path of one you have.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def violations(page: Page) -> list[Any]:
    """What keeps people from using the page: [rule, the first element] each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as a script of the page, which would not be let in
    found: list[Any] = page.evaluate(
        "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    )
    return found
