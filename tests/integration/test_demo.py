"""The demo as a process: filled before anybody looks, alive until it is stopped, and going on where it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.integration.live import Live

PATIENTS = ("--patients", "10")
WITHIN = 30.0  # seconds; the first order comes after two


def overview(live: Live) -> dict[str, Any]:
    status, found = live.get("v1/overview")
    assert status == 200
    assert isinstance(found, dict)
    return found


def received(live: Live) -> int:
    return int(overview(live)["result"]["messages"]["received"])


def until_more_than(live: Live, count: int) -> int:
    """How many messages there are once there are more: time itself is what is waited for."""
    end = time.monotonic() + WITHIN
    while (now := received(live)) <= count and time.monotonic() < end:
        pass
    return now


def test_the_demo_is_full_of_life_and_lives_on_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with Live(tmp_path, *PATIENTS, command="demo") as live:
        first = overview(live)
        sites = {each["site"]: each for each in first["sites"]}
        assert set(sites) == {"lisbon", "porto", "ponta-delgada", "madrid", "paper"}
        assert min(each["messages"]["received"] for each in sites.values()) > 100
        assert [each["site"] for each in first["feeds"] if each["silent"]] == ["madrid"]
        for case in ("case-1-upa", "case-2-upa"):
            _, told = live.get("v1/sites/paper/answers", treatment_id=case)
            assert [each["decision"] for each in told["answers"]] == ["screening_complete", "compliant"]
        before = first["result"]["messages"]["received"]
        assert until_more_than(live, before) > before
        assert live.terminate() == 0
        live.restart()
        again = overview(live)
        assert again["result"]["messages"]["received"] >= before
        assert again["result"]["sites"] == first["result"]["sites"]
