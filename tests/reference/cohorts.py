"""Is a person in a cohort on a day, by one course? And if the cohort is split, in which of its levels?"""

from typing import Any

from . import policy as rules
from .calendar_days import year_of
from .records import Episode, Person, diseases_ever, diseases_on

Keys = dict[str, Any]


def names_a_dose(keys: Keys) -> bool:
    return (
        "daily_mg" in keys
        or keys.get("split_by") == "daily_mg"
        or any(names_a_dose(one) for one in keys.get("any_of", []))
    )


def rows_on(person: Person, policy: rules.Document, name: str, episode: Episode, on: int) -> list[str]:
    """The names of the rows of this cohort that the day belongs to by this course: none, one, or one a level."""
    keys = policy["cohorts"][name]
    if episode.drug(policy) is None or episode.of_two_patients or not fits(person, policy, keys, episode, on):
        return []
    if keys.get("split_by") == "daily_mg":
        return [f"{name}:{rules.dose_text(rules.daily_mg(episode.state(on)[0]))}"]
    if keys.get("split_by") == "disease":
        return [f"{name}:{disease}" for disease in sorted(diseases_on(person, policy, episode, on))]
    return [name]


def fits(person: Person, policy: rules.Document, keys: Keys, episode: Episode, on: int) -> bool:
    return all(holds(person, policy, key, keys[key], episode, on) for key in keys)


def holds(person: Person, policy: rules.Document, key: str, value: Any, episode: Episode, on: int) -> bool:
    """One condition of a cohort on one day."""
    if key in ("drug", "class"):
        return drug_fits(policy, key, value, episode)
    if key in ("disease", "with"):
        return bool(rules.diseases_named(policy, value) & diseases_on(person, policy, episode, on))
    if key == "without":
        return not rules.diseases_named(policy, value) & diseases_on(person, policy, episode, on)
    if key == "ever":
        return bool(rules.diseases_named(policy, value) & diseases_ever(person, policy, episode, on))
    if key in ("age_from", "age_below"):
        age = person.age(year_of(on))
        return age is not None and (age >= value if key == "age_from" else age < value)
    if key == "any_of":
        return any(fits(person, policy, one, episode, on) for one in value)
    if key == "daily_mg":
        return rules.daily_mg(episode.state(on)[0]) in [rules.exact(mg) for mg in rules.as_list(value)]
    if key in ("split_by", "source"):
        return True
    raise ValueError(f"a cohort has no key {key!r}")


def drug_fits(policy: rules.Document, key: str, value: Any, episode: Episode) -> bool:
    drug = episode.drug(policy)
    if drug is None:
        return False
    named = drug if key == "drug" else policy["drugs"][drug].get("class")
    return named in rules.as_list(value)
