"""A hospital that begins loads its history first: it counts and nothing of it is answered; what comes then is live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.demo.desk import Site
from monitor.demo.hospitals import REGISTRY, registered
from tests.data.valid_lines import VALID, compact
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.stream_checks import answers_of, facts_of
from tests.integration.stream_histories import lives, stirred, zones_of_today
from tests.integration.stream_publishers import Letter, publish
from tests.integration.stream_world import World, make_topics, world

YEARS = timedelta(5 * 365)
SINCE_THE_LAST = timedelta(60)  # days between the history and today: nothing that was planned in it is still to come
FOUND_WITHIN = 120.0  # seconds until topics that are made later are found


@pytest.fixture
def newcomers(broker: Broker, tmp_path: Path) -> Iterator[World]:
    """The first site goes live today, the second in a year."""
    with world(broker.servers, tmp_path, 2, text_of=registry) as made:
        yield made


def zone() -> str:
    return zones_of_today(datetime.now(UTC))[0]


def today() -> date:
    return datetime.now(ZoneInfo(zone())).date()


def registry(names: tuple[str, ...]) -> str:
    begin = today() - YEARS
    go_live = dict(zip(names, (today(), today() + timedelta(365)), strict=True))
    described = [Site(name, zone(), True, False, False, begin.toordinal(), None) for name in names]
    return REGISTRY.format(start=begin) + "".join(registered(each, begin, go_live[each.name]) for each in described)


def history(of: World) -> list[Letter]:
    told = lives(of.sites, 60, today() - YEARS, today() - SINCE_THE_LAST, seed=5)
    return [Letter(site, line) for site in of.sites for line in stirred(site, told[site], of.rules.registry, seed=6)]


def test_five_years_of_history_count_and_nothing_of_them_is_answered_but_a_start_of_today_is(
    newcomers: World,
) -> None:
    live, later = newcomers.sites
    with newcomers.view() as view, newcomers.workers() as workers:
        workers.add("only")
        publish(newcomers.servers, history(newcomers))
        newcomers.wait_until_quiet()
        newcomers.check(view)
        assert all(facts_of(newcomers.watch, site) for site in newcomers.sites)
        assert all(answers_of(newcomers.watch, site) == {} for site in newcomers.sites)
        assert any(row["events"] for row in view.result()["rates"])
        assert {row["historical"] for row in view.result()["decisions"]} == {True}
        publish(newcomers.servers, [Letter(site, start_of_today(site)) for site in newcomers.sites])
        until(lambda: answer(newcomers, live) is not None, "the start of today is answered")
        newcomers.wait_until_quiet()
        newcomers.check(view)
        assert answer(newcomers, later) is None
    assert workers.problems() == []


def start_of_today(site: str) -> bytes:
    """Of somebody of whom nothing is known."""
    now = datetime.now(ZoneInfo(zone()))
    told = json.loads(VALID["treatment_started"])
    for name in ("order_id", "started_at"):
        del told[name]
    names = dict.fromkeys(("event_id", "treatment_id", "patient_id"), "the-first")
    return compact(told | names | {"site": site, "recorded_at": now.isoformat(), "started_on": now.date().isoformat()})


def answer(of: World, site: str) -> dict[str, Any] | None:
    of.watch.read()
    return answers_of(of.watch, site).get(("the-first", "start"))


def test_a_site_whose_topics_are_made_later_is_read_without_a_restart_of_anybody(
    broker: Broker, tmp_path: Path
) -> None:
    with world(broker.servers, tmp_path, 3, without_topics=1) as made, made.workers() as workers:
        *known, new = made.sites
        worker = workers.add("only")
        until(lambda: workers.share_out(known), "the worker has the sites that are there")
        make_topics(made.servers, [new])
        made.watch.add(made.topics_of(new))
        publish(made.servers, [Letter(site, start_of_today(site)) for site in made.sites])
        until(lambda: answer(made, new) is not None, "the new site is answered", FOUND_WITHIN)
        made.wait_until_quiet()
        made.check()
        assert workers.share_out(made.sites)
    assert [worker.all_said().count(f"{site}: taken over") for site in made.sites] == [1, 1, 1]
    assert workers.problems() == []
