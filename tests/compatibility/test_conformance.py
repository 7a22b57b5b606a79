"""The names of azureml-core 1.61 beside ours: each difference has a reason, and the page that lists them is current."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compatibility import conformance
from tests.compatibility.conformance import Finding, Member, Parameter
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="module")
def compared() -> tuple[list[Finding], str]:
    """The findings and the page; the imports of `azureml` change how a process behaves, and get one of their own."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.compatibility import conformance; print(conformance.answer())"],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    found, page = json.loads(done.stdout)
    return [Finding(**one) for one in found], page


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    return conformance.reasons(conformance.REASONS.read_text())


def test_each_difference_has_a_reason(compared: tuple[list[Finding], str], listed: dict[str, str]) -> None:
    different = [one for one in compared[0] if one.state != "same"]
    assert [f"{one.name}: {one.difference or one.state}" for one in different if not _has_reason(one, listed)] == []


def test_each_reason_is_about_a_difference(compared: tuple[list[Finding], str], listed: dict[str, str]) -> None:
    used = {
        found[0] for one in compared[0] if one.state != "same" and (found := conformance.reason_of(one.name, listed))
    }
    assert sorted(set(listed) - used) == []


def test_the_page_is_current(compared: tuple[list[Finding], str]) -> None:
    assert conformance.PAGE.read_text() == compared[1], "run: python -m tests.compatibility.conformance"


def test_most_of_the_surface_is_the_same(compared: tuple[list[Finding], str]) -> None:
    states = [one.state for one in compared[0]]
    assert states.count("same") > 0.75 * len(states)


@pytest.mark.parametrize(
    ("theirs", "ours", "difference"),
    [
        ("a, b=None", "a, b=None", ""),
        ("a, b=None", "a, b=None, more=1", ""),
        ("a, b", "a, b=None", ""),
        ("a, b=None", "a", "lacks `b`"),
        ("a, b=None", "b=None, a=1", "another order of parameters"),
        ("a, b=None", "a, b=2", "`b` is 2"),
        ("a, b=None", "a, b", "`b` is needed"),
        ("a", "a, more", "needs `more`"),
        ("a, b, c, d, e", "a", "lacks `b`, `c`, `d` and 1 more"),
        ("a, b", "a, **others", "takes by name only `b`"),
        ("a, **kwargs", "a", "lacks `**`"),
        ("a=NAME", "a='text'", ""),
        ("*args", "*arguments, **named", ""),
    ],
)
def test_parameters_are_compared_as_old_calls_use_them(theirs: str, ours: str, difference: str) -> None:
    assert conformance.difference(tuple(conformance.written(theirs)), tuple(conformance.written(ours))) == difference


def test_the_table_of_facts_is_read() -> None:
    text = (
        "# facts\nazureml.core.a.A\n    __init__(x, y='z')\n    static f()\n    property p\n    value N.ONE = 'One'\n"
    )
    (one,) = conformance.table(text)
    assert one.name == "azureml.core.a.A"
    assert one.members == [
        Member("__init__", (Parameter("x"), Parameter("y", "'z'"))),
        Member("f", ()),
        Member("p"),
        Member("N.ONE", value="'One'"),
    ]


def _has_reason(finding: Finding, listed: dict[str, str]) -> bool:
    return conformance.reason_of(finding.name, listed) is not None
