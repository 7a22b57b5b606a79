"""The grammar of a rollout's guard, and the rules of its plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.spec import RolloutPlan, SpecError
from mljupyter.spec.guard import METRICS, Condition, Guard


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("p95<200ms, errors<1%", [Condition("p95", 200), Condition("errors", 1)]),
        ("p50 < 0.25s", [Condition("p50", 250)]),
        ("p99<=1.5s;errors<=0%", [Condition("p99", 1500, True), Condition("errors", 0, True)]),
        ("p90<10ms and errors<0.5%", [Condition("p90", 10), Condition("errors", 0.5)]),
    ],
)
def test_conditions_are_read(text: str, conditions: list[Condition]) -> None:
    assert list(Guard.parse(text).conditions) == conditions
    assert Guard.parse(str(Guard.parse(text))) == Guard.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'', which is not a condition. Conditions are METRIC<LIMIT"),
        ("p95<200ms,", "'', which is not a condition"),
        ("p95>200ms", "'p95>200ms', which is not a condition"),
        ("p42<200ms", "the metric 'p42': it knows p50, p90, p95, p99, errors"),
        ("p95<200", "p95 is in ms or s, for example p95<1ms"),
        ("p95<2%", "p95 is in ms or s"),
        ("errors<1ms", "errors is in %, for example errors<1%"),
        ("errors<1", "errors is in %"),
        ("errors<101%", "at most 100%"),
        ("errors<0%", "For none at all: errors<=0%"),
        ("p95<2ms, p95<3ms", "names p95 twice"),
        ("p95<4000s", "at most 3600000ms"),
        ("x" * 1000, "guard has 1000 characters: at most 200"),
    ],
)
def test_what_is_no_guard_is_refused_with_the_grammar(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Guard.parse(text)
    assert message in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


@given(st.text(max_size=60) | st.lists(st.sampled_from([*METRICS, "<", "<=", "1", "ms", "%", ",", " "])).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        guard = Guard.parse(text)
    except SpecError:
        return
    assert Guard.parse(str(guard)).conditions


def test_the_limit_itself_breaks_a_strict_condition_only() -> None:
    assert not Condition("p95", 200).holds(200)
    assert Condition("p95", 200, inclusive=True).holds(200)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [5, 5]}, "each step must be above the one before"),
        ({"steps": [0, 100]}, "greater than or equal to 1"),
        ({"steps": [101]}, "less than or equal to 100"),
        ({"steps": [50], "promote": True}, "promote is set and the last step is 50"),
        ({"everySeconds": 0}, "everySeconds is 0"),
        ({"guard": "fast"}, "which is not a condition"),
        ({"leastRequests": 0}, "leastRequests is 0"),
    ],
)
def test_a_plan_against_the_rules_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        RolloutPlan.parse({"version": "b", "steps": [5, 100], "everySeconds": 60, **fields})
    assert message in caught.value.message


def test_a_guard_is_kept_in_one_form() -> None:
    plan = RolloutPlan(version="b", steps=[100], every_seconds=1, guard="p95 < 0.2s  and  errors<1%")
    assert plan.guard == "p95<200ms, errors<1%"
