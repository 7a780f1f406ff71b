"""Requirements against values: every comparator, what is not known, and the text they are stored as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hits.marketplace.qualifying import (
    LOCALE,
    Guard,
    Locale,
    Requirement,
    approval_rate,
    meets,
    read_requirements,
    stored_requirements,
)

COMPARATORS = (
    "LessThan", "LessThanOrEqualTo", "GreaterThan", "GreaterThanOrEqualTo", "EqualTo", "NotEqualTo",
    "Exists", "DoesNotExist", "In", "NotIn",
)  # fmt: skip
DE, BAVARIA, AT = Locale("DE"), Locale("DE", "BY"), Locale("AT")


def wanting(comparator: str, *values: int | Locale) -> Requirement:
    type_id = LOCALE if values and isinstance(values[0], Locale) else "3TYPE"
    return Requirement(type_id, comparator, values, Guard.ACCEPT)


@pytest.mark.parametrize(
    ("comparator", "met"),
    [
        ("LessThan", {4}),
        ("LessThanOrEqualTo", {4, 5}),
        ("GreaterThan", {6}),
        ("GreaterThanOrEqualTo", {5, 6}),
        ("EqualTo", {5}),
        ("NotEqualTo", {4, 6}),
        ("In", {5}),
        ("NotIn", {4, 6}),
    ],
)
def test_integers_compare_as_their_comparator_says(comparator: str, met: set[int]) -> None:
    assert {value for value in (4, 5, 6) if meets(wanting(comparator, 5), value)} == met


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_who_has_no_value_meets_only_that_there_be_none(comparator: str) -> None:
    values = () if comparator in {"Exists", "DoesNotExist"} else (5,)
    assert meets(wanting(comparator, *values), None) is (comparator == "DoesNotExist")
    assert meets(wanting("Exists"), 0)
    assert not meets(wanting("DoesNotExist"), 0)


def test_a_country_covers_its_states_and_a_state_not_its_country() -> None:
    assert meets(wanting("EqualTo", DE), BAVARIA)
    assert not meets(wanting("EqualTo", BAVARIA), DE)
    assert meets(wanting("In", BAVARIA, AT), AT)
    assert not meets(wanting("NotIn", DE, AT), BAVARIA)
    assert meets(wanting("NotEqualTo", BAVARIA), DE)


@given(
    st.lists(
        st.one_of(
            st.builds(
                Requirement,
                st.just("3TYPE"),
                st.sampled_from(["EqualTo", "LessThan"]),
                st.tuples(st.integers(-5, 5)),
                st.sampled_from(Guard),
            ),
            st.builds(
                Requirement,
                st.just(LOCALE),
                st.just("In"),
                st.tuples(st.sampled_from([DE, BAVARIA])),
                st.sampled_from(Guard),
            ),
        ),
        max_size=10,
    )
)
def test_what_is_stored_reads_back(requirements: list[Requirement]) -> None:
    assert read_requirements(stored_requirements(requirements)) == tuple(requirements)


@pytest.mark.parametrize(
    ("submitted", "approved", "rejected", "rate"),
    [
        (0, 0, 0, 100),
        (99, 0, 99, 100),
        (100, 0, 100, 0),
        (100, 0, 0, 100),
        (150, 99, 1, 99),
        (300, 200, 100, 66),
    ],
)
def test_the_approval_rate_is_ones_own_from_a_hundred_on(
    submitted: int, approved: int, rejected: int, rate: int
) -> None:
    assert approval_rate(submitted, approved, rejected) == rate
