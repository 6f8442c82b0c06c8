"""How long something waits, told from offsets alone, and never too long."""

from __future__ import annotations

from monitor.stream.backlog import Backlog


def test_nothing_waits_where_all_was_read() -> None:
    backlog = Backlog()
    backlog.look(read=7, end=7, now=10.0)
    assert (backlog.seconds(99.0), backlog.is_at_rest(99.0, 30)) == (0.0, False)


def test_the_oldest_that_was_not_read_says_how_long() -> None:
    backlog = Backlog()
    for read, end, now in ((0, 0, 0.0), (0, 5, 10.0), (0, 9, 20.0)):
        backlog.look(read, end, now)
    assert backlog.seconds(25.0) == 15.0
    backlog.look(read=5, end=9, now=26.0)
    assert backlog.seconds(26.0) == 6.0  # what was seen at 20 is the oldest now
    backlog.look(read=9, end=9, now=27.0)
    assert backlog.seconds(30.0) == 0.0


def test_whoever_is_behind_and_reads_is_not_at_rest() -> None:
    backlog = Backlog()
    for read, now in ((0, 0.0), (1, 25.0), (2, 50.0)):
        backlog.look(read, 100, now)
    assert (backlog.seconds(60.0), backlog.is_at_rest(60.0, 30)) == (60.0, False)
    assert backlog.is_at_rest(80.1, 30)


def test_a_message_after_a_long_silence_leaves_the_owner_its_time() -> None:
    backlog = Backlog()
    backlog.look(read=4, end=4, now=0.0)
    backlog.look(read=4, end=5, now=1_000.0)
    assert not backlog.is_at_rest(1_030.0, 30)
    assert backlog.is_at_rest(1_030.1, 30)


def test_a_topic_that_was_cut_leaves_no_backlog_of_what_is_gone() -> None:
    backlog = Backlog()
    backlog.look(read=3, end=9, now=0.0)
    backlog.look(read=3, end=3, now=5.0)
    assert backlog.seconds(10.0) == 0.0
