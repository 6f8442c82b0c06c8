"""What the demo's replay looks like on the pages, made once for all tests of them."""

from __future__ import annotations

import pytest

from monitor.web.pages import Pages
from tests.data.shown_overview import overview_of, replay_of_demo, replay_of_nothing
from tests.unit.page_stage import shown


@pytest.fixture(scope="session")
def replayed():
    return replay_of_demo()


@pytest.fixture(scope="session")
def nothing():
    return replay_of_nothing()


@pytest.fixture(scope="session")
def overview(replayed):
    return overview_of(replayed)


@pytest.fixture(scope="session")
def pages():
    return Pages()


@pytest.fixture(scope="session")
def page(pages, overview):
    return shown(pages, overview)
