"""What every log of a site must do, whatever it is built on; here on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.log import SiteLog, Transaction
from monitor.log.sqlite import SqliteLog
from monitor.records import Course, Tally
from tests.data.transactions import ORDER, START, batch, content, rejected


class Opened(SiteLog, Protocol):
    """A log that can be put away, to be opened again."""

    def close(self) -> None: ...


BROKEN: dict[str, Any] = {
    "facts": [b"new", object()],
    "answers": {ORDER: b"new", START: object()},
    "rejections": [rejected(1), rejected(1)._replace(raw=object())],  # type: ignore[arg-type]
    "position": {"a.jsonl": object()},
}


pieces = st.builds(
    lambda site, number, facts, answers, places: batch(
        site, number, facts=facts, answers=answers, rejections=[rejected(each) for each in places],
        position={"a.jsonl": number},
    ),
    st.sampled_from(("lisbon", "porto")),
    st.integers(0, 9),
    st.lists(st.binary(max_size=5), max_size=3),
    st.dictionaries(st.tuples(st.text(max_size=3).filter(str.isprintable), st.sampled_from(("order", "start"))),
                    st.binary(max_size=5), max_size=3),
    st.lists(st.integers(0, 50), max_size=2),
)  # fmt: skip


class LogCorpus:
    """The promises. A class of tests says how its log is opened."""

    def opened(self, folder: Path) -> Opened:
        """Open the log of a folder, again or for the first time."""
        raise NotImplementedError

    @pytest.fixture
    def opens(self, tmp_path: Path) -> Iterator[Callable[[], Opened]]:
        """Opens the log; again, after what was opened before is closed."""
        opened: list[Opened] = []

        def again() -> Opened:
            if opened:
                opened.pop().close()
            opened.append(self.opened(tmp_path))
            return opened[0]

        yield again
        for log in opened:
            log.close()

    def test_a_new_log_says_nothing_of_any_site(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        assert log.sites() == []
        assert not [*log.facts("lisbon"), *log.answers("lisbon"), *log.rejections("lisbon", "http")]
        assert log.tally("lisbon") == Tally()
        assert log.position("lisbon") == {}

    def test_facts_come_back_in_the_order_in_which_they_were_kept(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        for number in range(30):
            log.append(batch("lisbon" if number % 2 else "porto", number, facts=[b"%d a" % number, b"%d b" % number]))
        assert list(log.facts("lisbon")) == [b"%d %s" % (n, each) for n in range(1, 30, 2) for each in (b"a", b"b")]

    def test_the_same_fact_twice_is_kept_twice(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(facts=[b"one", b"one"]))
        assert list(log.facts("lisbon")) == [b"one", b"one"]

    def test_an_answer_takes_the_place_of_the_one_before_it(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(answers={ORDER: b"hold", START: b"violation"}))
        log.append(batch("porto", answers={ORDER: b"lapsed"}))
        log.append(batch(answers={ORDER: b"screening_complete"}))
        assert dict(log.answers("lisbon")) == {ORDER: b"screening_complete", START: b"violation"}
        assert dict(log.answers("porto")) == {ORDER: b"lapsed"}

    def test_the_position_moves_with_its_transaction(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(position={"a.jsonl": 10}))
        log.append(batch("porto", position={"a.jsonl": 1}))
        log.append(batch(answers={ORDER: b"hold"}))
        assert log.position("lisbon") == {"a.jsonl": 10}
        log.append(batch(position={"a.jsonl": 12}))
        assert log.position("lisbon") == {"a.jsonl": 12}
        assert log.position("porto") == {"a.jsonl": 1}

    def test_the_tally_is_that_of_the_last_transaction(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        last = Tally(9, 7, {"invalid": 1, "not_json": 1}, -1, 1_700_000_000_000_001, {"screening": -5})
        log.append(batch(number=1))
        log.append(batch(tally=last))
        assert opens().tally("lisbon") == last

    def test_what_was_rejected_keeps_its_bytes_and_comes_in_the_order_of_its_places(
        self, opens: Callable[[], Opened]
    ) -> None:
        log = opens()
        log.append(batch(rejections=[rejected(7), rejected(3), rejected(1, "b.jsonl")]))
        log.append(batch(rejections=[rejected(5)]))
        assert list(log.rejections("lisbon", "a.jsonl")) == [rejected(3), rejected(5), rejected(7)]
        assert list(log.rejections("lisbon", "b.jsonl")) == [rejected(1, "b.jsonl")]
        assert list(log.rejections("porto", "a.jsonl")) == []

    def test_opened_again_it_says_the_same(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(facts=[b"one"], answers={ORDER: b"hold"}, rejections=[rejected(1)], position={"a.jsonl": 2}))
        log.append(batch("porto", facts=[b"two"], answers={START: b"compliant"}))
        before = content(log)
        assert content(opens()) == before
        assert before.keys() == {"lisbon", "porto"}

    def test_it_can_be_read_while_it_is_written(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(facts=[b"one", b"two"]))
        reading = log.facts("lisbon")
        assert next(reading) == b"one"
        log.append(batch(facts=[b"three"]))
        assert next(reading) == b"two"

    @pytest.mark.parametrize("part", BROKEN)
    def test_a_transaction_that_fails_anywhere_leaves_nothing(self, opens: Callable[[], Opened], part: str) -> None:
        log = opens()
        log.append(batch(facts=[b"old"], answers={ORDER: b"old"}, position={"a.jsonl": 1}))
        before = content(log)
        whole: dict[str, Any] = {
            "facts": [b"new"],
            "answers": {ORDER: b"new"},
            "rejections": [rejected(9)],
            "position": {"a.jsonl": 2},
        }
        with pytest.raises(Exception, match=r"."):
            log.append(batch(number=2, **(whole | {part: BROKEN[part]})))
        assert content(log) == before
        log.append(batch(number=2, **whole))
        assert list(log.facts("lisbon")) == [b"old", b"new"]

    def says_what_its_transactions_come_to(self, folder: Path, transactions: Sequence[Transaction]) -> None:
        facts: dict[str, list[bytes]] = {}
        answers: dict[tuple[str, Course], bytes] = {}
        with closing(self.opened(folder)) as log:
            for each in transactions:
                log.append(each)
                facts.setdefault(each.site, []).extend(each.facts)
                answers |= {(each.site, course): record for course, record in each.answers.items()}
        with closing(self.opened(folder)) as log:
            assert log.sites() == sorted(facts)
            assert {site: list(log.facts(site)) for site in log.sites()} == facts
            assert {(site, course): record for site in log.sites() for course, record in log.answers(site)} == answers


class TestSqliteLog(LogCorpus):
    def opened(self, folder: Path) -> SqliteLog:
        return SqliteLog(folder / "log.sqlite")

    def test_positions_are_kept_by_channel(self, opens: Callable[[], Opened]) -> None:
        log = opens()
        log.append(batch(position={"a.jsonl": 10}))
        log.append(batch(position={"b.jsonl": 3}))
        log.append(batch(position={"a.jsonl": 12}))
        log.append(batch("porto", position={"a.jsonl": 1}))
        assert log.position("lisbon") == {"a.jsonl": 12, "b.jsonl": 3}
        assert log.position("porto") == {"a.jsonl": 1}

    @given(transactions=st.lists(pieces, max_size=8))
    def test_it_says_what_its_transactions_come_to(
        self, tmp_path_factory: pytest.TempPathFactory, transactions: list[Transaction]
    ) -> None:
        self.says_what_its_transactions_come_to(tmp_path_factory.mktemp("log"), transactions)
