"""The reference does not mind in which order, or how often, lines come."""

import random

from .replay import replay
from .small_world import as_lines, change, clean_screening, event, order, small_policy, start


def test_the_order_of_the_lines_changes_nothing() -> None:
    lines = as_lines(
        clean_screening("2026-01-01"),
        order("2026-01-05"),
        start("2026-01-10"),
        change("2026-02-01", 30),
        event("2026-02"),
    )
    first = replay(lines, policies=[small_policy()])
    shuffled = lines * 2
    random.Random(7).shuffle(shuffled)  # noqa: S311 (an order, not a secret)
    again = replay(shuffled, policies=[small_policy()])
    assert (again.pop("messages")["duplicate"], first.pop("messages")["duplicate"]) == (len(lines), 0)
    assert again == first
