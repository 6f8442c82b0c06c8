"""A policy as text for people: every value with its source beside it, and what is still open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from textwrap import wrap

from monitor.core.policy import Aesi, Cohort, DoseLimit, Drug, PolicyDocument, Row, Screening
from monitor.core.policy_review import Backing, backings, doubtful_exclusions, remarks
from monitor.core.vocabulary import decimal_text
from monitor.policyfile import Loaded
from monitor.problems import key_of

LABEL = 34
WIDTH = 120
_SHORT = 70


def brief(value: object) -> str:
    """A value on one line: `days 30`, `a, b`; sources are left out."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {brief(each)}" for key, each in value.items() if key != "source")
    if isinstance(value, list | tuple):
        return ", ".join(f"({brief(each)})" if isinstance(each, dict) else brief(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def cited(policy: PolicyDocument, source: str | None, block: str = "") -> str:
    """A source as shown beside a value; `block` names the block whose source stands in for none."""
    name = source or policy.block_sources.get(block)
    return f"[{policy.sources[name].kind}: {policy.sources[name].cite}]" if name else "[no source named]"


def row(label: str, value: str, citation: str = "") -> str:
    """One value of a page, its source behind it or, where that is too long, under it."""
    line = f"  {label:<{LABEL}} {value}"
    joined = f"{line}  {citation}" if citation else line
    return joined if len(joined) <= WIDTH or not citation else f"{line}\n  {'':<{LABEL}} {citation}"


def review(loaded: Loaded) -> Iterator[str]:
    """What stands in a sound policy and a person must decide, confirm or sign."""
    head = loaded.policy.policy
    yield f"{loaded.file}: {head.name} version {head.version}, in force from {head.effective_from}, no errors"
    yield f"  sha256 {loaded.policy.sha256}"
    if not (head.approved_by and head.approved_on):
        yield f"  line {loaded.line(('policy',))}: not approved: approved_by and approved_on are not filled in"
    yield from _section("local: to be confirmed (a dose limit among them judges nothing)", _open(loaded, "unconfirmed"))
    yield from _section("decided on the spot (local)", _open(loaded, "local"))
    yield from _section("without a source (a dose limit among them judges nothing)", _open(loaded, None))
    yield from _section("for signature: called excluded beside a result that is not negative", _exclusions(loaded))
    yield from _section("remarks", (_at(loaded, path, message) for path, message in remarks(loaded.policy)))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield f"  {title}: {len(found)}"
        yield from (f"    {line}" for line in found)


def _at(loaded: Loaded, path: Sequence[str | int], message: str) -> str:
    return f"line {loaded.line(tuple(path)):>3}  {key_of(tuple(path))}: {message}"


def _open(loaded: Loaded, kind: str | None) -> Iterator[str]:
    policy = loaded.policy
    content = policy.model_dump(by_alias=True, exclude_defaults=True)
    for backing in sorted(backings(policy), key=lambda one: loaded.line(one.path)):
        if (policy.sources[backing.source].kind if backing.source else None) == kind:
            text = brief(_inside(content, backing))
            yield _at(loaded, backing.path, text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}...")


def _inside(content: object, backing: Backing) -> object:
    for key in backing.path:
        content = content[key]  # type: ignore[index]  # the path is one of this document
    return content


def _exclusions(loaded: Loaded) -> Iterator[str]:
    for one in doubtful_exclusions(loaded.policy):
        line = loaded.line(("screening", one.infection, "rows", one.row))
        yield f"line {line:>3}  {one.infection}: {one}"


def page(policy: PolicyDocument) -> Iterator[str]:
    """The whole policy as a page to read."""
    head = policy.policy
    region, author = head.region or "no region named", head.prepared_by or "nobody named"
    yield f"{head.name}, version {head.version}, {region}, in force from {head.effective_from}"
    yield f"prepared by {author}; approved by {head.approved_by or 'nobody yet'}{_on(head.approved_on)}"
    yield f"sha256 {policy.sha256}"
    for name, drug in policy.drugs.items():
        yield f"\nDrug: {name}"
        yield from _drug(policy, drug)
    yield "\nTests: what a code means"
    yield from _tests(policy)
    for infection, table in policy.screening.items():
        yield f"\nScreening: {infection}"
        yield from _table(policy, table)
    yield "\nFlags"
    yield row("two of one class", brief(policy.flags.two_of_one_class), cited(policy, policy.flags.source))
    yield row("dose above label", brief(policy.flags.dose_above_label), cited(policy, policy.flags.source))
    yield row("blocking", brief(policy.flags.blocking) or "none", cited(policy, policy.flags.source))
    yield "\nAdverse events of special interest"
    yield from (row(name, aesi_text(aesi), cited(policy, aesi.source, "aesis")) for name, aesi in policy.aesis.items())
    yield row(
        "of no interest", brief(policy.terms_of_no_interest) or "none", cited(policy, None, "terms_of_no_interest")
    )
    yield "\nDiseases"
    yield from _diseases(policy)
    yield "\nCohorts"
    yield from (row(name, cohort_text(one), cited(policy, None, "cohorts")) for name, one in policy.cohorts.items())
    yield "\nCounting"
    counting = policy.counting.model_dump(exclude={"source"})
    yield from (row(key, brief(value), cited(policy, policy.counting.source)) for key, value in counting.items())
    for name, codes in policy.files.items():
        yield f"\nCode list: {name}"
        yield from wrap(", ".join(":".join(code) for code in codes), WIDTH, initial_indent="  ", subsequent_indent="  ")
    yield "\nReferences"
    yield from _references(policy)


def _on(day: date | None) -> str:
    return f" on {day}" if day else ""


def _drug(policy: PolicyDocument, drug: Drug) -> Iterator[str]:
    yield row("codes", brief(drug.codes), cited(policy, drug.source, "drugs"))
    yield row("class", drug.class_, cited(policy, drug.source, "drugs"))
    tail, pause = drug.tail_days, drug.new_start_after_pause_days
    yield row("events count after the last dose", f"{tail.days} days", cited(policy, tail.source))
    yield row("a new start after a pause of over", f"{pause.days} days", cited(policy, pause.source))
    for limit in drug.highest_daily_mg:
        judged = "" if policy.is_judged(limit) else " (not judged)"
        yield row(f"highest dose: {brief(limit.indications)}", limit_text(limit) + judged, cited(policy, limit.source))


def limit_text(limit: DoseLimit) -> str:
    """`30 mg a day; from 65 years 15; first 84 days 45`."""
    parts = [f"{brief(limit.usual)} mg a day"]
    parts += [f"from 65 years {brief(limit.from_age_65)}"] if limit.from_age_65 is not None else []
    parts += [f"first {limit.induction.first_days} days {brief(limit.induction.mg)}"] if limit.induction else []
    return "; ".join(parts)


def _tests(policy: PolicyDocument) -> Iterator[str]:
    for name, test in policy.tests.items():
        yield row(name, brief(test.codes), cited(policy, test.source, "tests"))
        if test.number:
            said = f"positive from {brief(test.number.positive_from)} {test.number.unit}"
            yield row("", said, cited(policy, test.number.source))
        if test.not_older_than:
            yield row("", f"counts only if not older than {test.not_older_than}")
    yield row("never evidence", brief(policy.never_evidence) or "none", cited(policy, None, "never_evidence"))
    yield row("several results of one test", policy.several_results, cited(policy, None, "several_results"))


def _table(policy: PolicyDocument, table: Screening) -> Iterator[str]:
    required = " and ".join(" or ".join(group) for group in table.required_groups)
    yield row("required", f"{required}; if not good: {table.if_not_good}", cited(policy, table.source))
    yield row("a negative is good for days", brief(table.valid_days), cited(policy, table.valid_days_source))
    yield from (row(f"{at}.", row_text(one)) for at, one in enumerate(table.rows, 1))


def row_text(one: Row) -> str:
    """`hbsag negative, anti_hbc negative: excluded`."""
    text = f"{', '.join(f'{test} {result}' for test, result in one.if_.items())}: {one.finding}"
    text += f"; treated after {one.treated_after_days} days" if one.treated_after_days is not None else ""
    text += f"; ask for {brief(one.ask_for)}" if one.ask_for else ""
    return text + "".join(f"; repeat {test} every {days} days" for test, days in one.then_repeat.items())


def aesi_text(aesi: Aesi) -> str:
    """The criteria of an AESI on one line."""
    parts = [brief(aesi.codes)]
    parts += [f"except {brief(aesi.except_)}"] if aesi.except_ else []
    parts += [("serious" if aesi.serious else "not serious")] if aesi.serious is not None else []
    parts += [f"outcome {aesi.outcome}"] if aesi.outcome else []
    parts += [f"action taken {aesi.action_taken}"] if aesi.action_taken else []
    parts += ["also a date of death"] if aesi.also_died_on else []
    tails = ", ".join(
        f"{drug} {days}" + (" days" if days != "for_ever" else "") for drug, days in aesi.tail_days.items()
    )
    return "; ".join([*parts, f"tail {tails}"] if tails else parts)


def cohort_text(cohort: Cohort) -> str:
    """The conditions of a cohort on one line."""
    said = cohort.model_dump(by_alias=True, exclude_defaults=True, exclude={"any_of"})
    parts = [f"{key.replace('_', ' ')} {' or '.join(map(brief, value)) if isinstance(value, tuple) else brief(value)}"
             for key, value in said.items()]  # fmt: skip
    parts += [f"any of: {' / '.join(cohort_text(one) for one in cohort.any_of)}"] if cohort.any_of else []
    return "; ".join(parts) or "every course of a known drug"


def _diseases(policy: PolicyDocument) -> Iterator[str]:
    for name, codes in policy.diseases.items():
        yield row(name, brief(codes), cited(policy, None, "diseases"))
    for name, members in policy.disease_groups.items():
        yield row(name, f"any of {brief(members)}", cited(policy, None, "disease_groups"))
    chronic = brief(policy.undated_from_course_start) or "none"
    yield row("undated: from the course's start", chronic, cited(policy, None, "undated_from_course_start"))


def _references(policy: PolicyDocument) -> Iterator[str]:
    for one in policy.references:
        tested = f"{one.events} events in {brief(one.patient_years)} patient-years" if one.events is not None else ""
        drawn = f"{brief(one.rate)} per 100 patient-years, drawn only" if one.rate is not None and not tested else ""
        yield row(one.cohort, f"{one.aesi}: {one.estimator} {tested}{drawn}", cited(policy, one.source))
