"""What the tests of this folder share: machines of one patient, and the demo's replay as the pages show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.web.pages import Pages
from tests.data.one_machine import OneMachine
from tests.data.one_patient import EVENING, POLICY, REGISTRY
from tests.data.shown_overview import overview_of, replay_of_demo, replay_of_nothing
from tests.data.tight_log import TightLog
from tests.unit.page_stage import shown


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    """One on the evening of the first dose."""
    made = OneMachine(tmp_path, POLICY, REGISTRY, EVENING)
    yield made
    made.machine.log.close()


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[OneMachine]:
    """The same, whose disk may be full."""
    made = OneMachine(tmp_path, POLICY, REGISTRY, EVENING, TightLog)
    yield made
    made.machine.log.close()


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
