"""What each check of `jakwatch doctor` makes of what it saw; seeing it is tested on a real broker."""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from monitor.core.days import instant
from monitor.core.policy import PolicyDocument
from monitor.doctor import sites
from monitor.doctor.clocks import Clock, by_last_append, clocks
from monitor.doctor.rules import activation
from monitor.doctor.said import Said, as_finding, spoken
from monitor.doctor.seen import MOST_REJECTED, Inbound, Kept, Look
from monitor.policyfile import default_policy_path, load_policies
from monitor.rulebook import check_key
from schemas import actions as act

KEY, OTHER_KEY = bytes(32), bytes([1]) * 32
NOW = 1_800_000_000.0


def look(site: str = "lisbon", kept: Kept | None = None, inbound: Inbound | None = None, **more: Counter[str]) -> Look:
    return Look(
        site, kept or Kept(mark(KEY), 10, NOW - 5), inbound or Inbound(0, 10, None), more.get("rejected", Counter())
    )


def mark(key: bytes) -> str:
    return check_key(None, key, "")


@pytest.mark.parametrize(
    ("earliest", "latest", "told"),
    [
        (NOW, NOW + 1, None),
        (NOW + 2, NOW + 3, None),
        (NOW + 5, NOW + 6, "the clock of X is 5 s ahead of this machine's"),
        (NOW - 3, NOW - 2, None),
        (NOW - 11, NOW - 10, "the clock of X is 10 s behind this machine's"),
        (NOW - 3700, NOW - 3600, "the clock of X is 1 h behind this machine's"),
    ],
)
def test_a_clock_that_differs_by_more_than_two_seconds_is_a_finding(
    earliest: float, latest: float, told: str | None
) -> None:
    (said,) = clocks([Clock("X", earliest, latest, NOW, NOW)])
    assert (said.text if said.result == "finding" else None) == told


def test_a_slow_answer_is_not_taken_for_a_wrong_clock() -> None:
    (said,) = clocks([Clock("X", NOW + 4, NOW + 5, asked=NOW, answered=NOW + 4)])
    assert said.result == "ok"


def test_what_was_written_long_ago_does_not_make_a_clock_late() -> None:
    assert by_last_append(NOW - 1e6, NOW).ahead == 0
    assert by_last_append(NOW + 9, NOW).ahead == 9
    assert by_last_append(NOW, NOW).latest == math.inf


def test_without_anybody_who_tells_the_time_the_clock_is_unseen() -> None:
    assert [said.result for said in clocks([])] == ["unseen"]


def test_a_log_of_another_key_is_a_finding_that_says_to_put_the_key_back() -> None:
    (said,) = sites.key([look(), look("porto", Kept(mark(OTHER_KEY), 1, NOW))], KEY)
    assert said.text == (
        f"the log of porto was written with another pseudonym key (fingerprint {mark(OTHER_KEY)}, given: {mark(KEY)})"
    )
    assert said.todo.startswith("Put the right key file back")


def test_without_a_key_given_the_logs_must_still_agree() -> None:
    (said,) = sites.key([look(), look("porto", Kept(mark(OTHER_KEY), 1, NOW))], None)
    assert said.result == "finding"
    assert f"{mark(KEY)} (lisbon); {mark(OTHER_KEY)} (porto)" in said.text
    (said,) = sites.key([look(), look("porto")], None)
    assert (said.result, mark(KEY) in said.text) == ("ok", True)


def test_a_message_that_has_waited_for_more_than_a_minute_is_a_finding() -> None:
    waits = look("porto", Kept("m", 5, NOW - 300), Inbound(0, 10, NOW - 61))
    (said,) = sites.lag([look(), waits], NOW)
    assert said.text == "porto: a message has been waiting for 1 min; the last was taken in 5 min ago"
    (said,) = sites.lag([waits], NOW - 2)
    assert (said.result, said.text) == ("ok", "the oldest message that waits came 59 s ago (1 site)")


def test_a_site_where_nothing_was_ever_taken_in_says_so() -> None:
    new = look("porto", Kept(), Inbound(0, 1, NOW - 7200))
    assert [said.text for said in sites.lag([new], NOW)] == [
        "porto: a message has been waiting for 2 h; nothing was ever taken in"
    ]
    assert [said.text for said in sites.progress([look(), new])] == ["porto: no worker has ever been there"]


def test_a_site_that_has_sent_nothing_yet_is_no_finding() -> None:
    """A worker that owns it writes nothing before the first message."""
    (said,) = sites.progress([look(), look("porto", Kept(), Inbound(0, 0, None))])
    assert (said.result, said.text) == ("ok", "a worker has been at each of 1 site; at 1 site nothing ever came")


def test_a_site_whose_messages_all_expired_unread_is_a_finding() -> None:
    (said,) = sites.progress([look("porto", Kept(), Inbound(7, 7, None))])
    assert (said.result, said.text) == ("finding", "porto: no worker has ever been there")


def test_a_site_whose_inbound_topic_is_not_for_our_eyes_is_not_blamed() -> None:
    (said,) = sites.progress([look(), Look("porto", Kept(), None, None)])
    assert (said.result, said.text) == ("ok", "a worker has been at each of 1 site; of 1 site it cannot be told")


EXPIRED = "jakwatch.v1.in.lisbon begins at offset 12, was read up to 10: messages may have expired unread"


@pytest.mark.parametrize(
    ("inbound", "told"),
    [
        (Inbound(0, 9, None), "jakwatch.v1.in.lisbon ends at offset 9, but was read up to 10: it was cut or made anew"),
        (Inbound(12, 20, None), EXPIRED),
        (Inbound(10, 10, None), None),
    ],
)  # fmt: skip
def test_a_position_that_no_longer_fits_its_topic_is_a_finding(inbound: Inbound, told: str | None) -> None:
    (said,) = sites.progress([look(inbound=inbound)])
    assert (said.text if said.result == "finding" else None) == told


def test_rejections_are_told_by_reason_with_the_command_that_lists_them() -> None:
    (said,) = sites.rejected([look(), look("porto", rejected=Counter(invalid=1200, not_json=1))])
    assert said.text == "porto: 1,201 rejected within a day (invalid 1,200, not_json 1)"
    assert said.todo == "jakwatch rejected list --site porto"
    (said,) = sites.rejected([look(rejected=Counter(invalid=MOST_REJECTED))])
    assert "10,000 or more rejected" in said.text


def test_what_our_user_may_not_read_is_unseen_and_no_finding() -> None:
    blind = Look("lisbon", None, None, None)
    said = [*sites.key([blind], KEY), *sites.lag([blind], NOW), *sites.progress([blind]), *sites.rejected([blind])]
    assert {each.result for each in said} == {"unseen"}
    assert all(each.todo for each in said)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> tuple[PolicyDocument, ...]:
    """The built-in policy and a second version of it, from 2030 on."""
    return load_policies([default_policy_path(), later_version(tmp_path_factory.mktemp("policy"))])


def later_version(folder: Path) -> Path:
    """Its code lists stand beside it."""
    shutil.copytree(default_policy_path().parent, folder, dirs_exist_ok=True)
    copy = folder / default_policy_path().name
    text = re.sub(r"effective_from: [0-9-]+", "effective_from: 2030-01-01", copy.read_text(encoding="utf-8"), count=1)
    copy.write_text(re.sub(r"version: \d+", "version: 99", text, count=1), encoding="utf-8")
    return copy


def activated(policy: PolicyDocument, at: datetime, sha256: str | None = None) -> act.Activate:
    return act.Activate(
        schema=1, action="activate", action_id="a1", at=at, by="A. Silva", role="officer", reason="rehearsed",
        what="policy", version=policy.policy.version, sha256=sha256 or policy.sha256, effective_from=date(2030, 1, 1),
    )  # fmt: skip


BEFORE, AFTER = datetime(2029, 6, 1, tzinfo=UTC), datetime(2030, 6, 1, tzinfo=UTC)


def test_a_version_that_nobody_activated_is_a_finding_with_its_hash(policies: tuple[PolicyDocument, ...]) -> None:
    (said,) = activation(policies, None, [], instant(BEFORE))
    assert said.text == "version 99 of the policy is given, and nobody has activated it: on 2030-01-01 it is void"
    assert policies[1].sha256 in said.todo


def test_a_version_whose_day_has_begun_cannot_be_activated_any_more(policies: tuple[PolicyDocument, ...]) -> None:
    (said,) = activation(policies, None, [activated(policies[1], AFTER)], instant(AFTER))
    assert said.text == "version 99 of the policy is given, and nobody activated it before 2030-01-01"
    assert said.todo == "give a further version that begins later, and activate that before its day"


def test_a_version_that_was_activated_in_time_is_well(policies: tuple[PolicyDocument, ...]) -> None:
    (said,) = activation(policies, None, [activated(policies[1], BEFORE)], instant(AFTER))
    assert (said.result, said.text) == ("ok", "2 of 2 versions of the policy are in force or will be")


def test_a_version_that_was_activated_and_not_given_is_a_finding(policies: tuple[PolicyDocument, ...]) -> None:
    (said,) = activation(policies[:1], None, [activated(policies[1], BEFORE, "ab" * 32)], instant(BEFORE))
    assert said.text == "version 99 of policy (abababab...) was activated and is not given here"
    assert said.todo == "give it beside the others by --policy, to all processes too"


def test_a_text_that_says_what_to_do_becomes_a_finding() -> None:
    assert as_finding("x", "a is b. Do next: c") == Said("x", "finding", "a is b", "c")


def test_ages_are_spoken_in_the_largest_unit_that_fits() -> None:
    assert [spoken(each) for each in (0, 59, 61, 3601, 47 * 3600, 49 * 3600)] == [
        "0 s", "59 s", "1 min", "1 h", "47 h", "2 days",
    ]  # fmt: skip
