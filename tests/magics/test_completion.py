"""Options, choices and names are completed on the lines of our magics, and nowhere else."""

from __future__ import annotations

import pytest

from mljupyter.magics.catalog import SHORT, UMBRELLA
from mljupyter.magics.completion import completions, described_completions

MAGICS = {magic.name: magic for magic in (UMBRELLA, *SHORT)}
NAMES = {
    "endpoint": ("diabetes", "iris"),
    "environment": ("current", "serving"),
    "estimator": ("ridge", "search"),
    "version": ("diabetes:version-a", "diabetes:version-b", "iris:first"),
    "model": ("diabetes-ridge", "diabetes-ridge:1", "diabetes-ridge:2"),
    "score": ("ridge-score",),
    "target": ("local",),
    "variable": ("X_test", "model"),
    "workspace": ("team",),
}


def complete(line: str) -> list[str]:
    answer = completions(MAGICS, line, lambda kind: NAMES[kind])
    assert answer is not None
    return answer[1]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%deploy dia", ["diabetes"]),
        ("%deploy ", ["diabetes", "iris"]),
        ("ep = %deploy dia", ["diabetes"]),
        ("%mlj dep", ["deploy"]),
        ("%mlj deploy dia", ["diabetes"]),
        ("%deploy diabetes --rep", ["--replicas"]),
        ("%deploy diabetes --no-w", ["--no-wait"]),
        ("%deploy diabetes --wa", ["--wait"]),
        ("%deploy diabetes --kind ", ["aks", "aci", "local"]),
        ("%deploy diabetes --kind a", ["aks", "aci"]),
        ("%deploy diabetes --kind=ak", ["aks"]),
        ("%deploy diabetes --model dia", ["diabetes-ridge"]),
        ("%deploy diabetes --model diabetes-ridge:", ["diabetes-ridge:1", "diabetes-ridge:2"]),
        ("%deploy diabetes --score r", ["ridge-score"]),
        ("%%score rid", ["ridge-score"]),
        ("%%score ridge-score --sam", ["--sample"]),
        ("%%mlj score ridge-score --sample X", ["X_test"]),
        ("%invoke diabetes X", ["X_test"]),
        ("%undeploy ir", ["iris"]),
        ("%undeploy diabetes:", ["diabetes:version-a", "diabetes:version-b"]),
        ("%invoke diabetes:version-b X", ["X_test"]),
        ("%logs dia", ["diabetes"]),
        ("%logs diabetes --level w", ["warning"]),
        ("%scale diabetes --version ", ["version-a", "version-b"]),
        ("%rollout diabetes version-b --dr", ["--dry-run"]),
        ("%deploy diabetes ri", ["ridge"]),
        ("%mlj deploy diabetes ri", ["ridge"]),
        ("%deploy diabetes --environment cu", ["current"]),
        ("%deploy diabetes --method predict_p", ["predict_proba"]),
        ("%deploy diabetes --version ver", ["version-a", "version-b"]),
        ("%deploy iris --version=", ["first"]),
        ("%traffic diabetes version-a=90 v", ["version-a=", "version-b="]),
        ("%traffic iris --mirror f", ["first="]),
        ("%%deploy diabetes --repl", ["--replicas"]),
        ("%logs diabetes -n ", []),
        ("%deploy diabetes --replicas 2 --repl", []),
    ],
)
def test_what_may_stand_at_the_cursor_is_offered(line: str, found: list[str]) -> None:
    assert complete(line) == found


def test_an_option_that_may_be_repeated_is_offered_again() -> None:
    assert complete("%deploy diabetes --model a --mod") == ["--model", "--model-delivery"]


def test_after_all_positional_values_options_are_offered() -> None:
    assert "--model" in complete("%deploy diabetes ")
    assert "--output" in complete("%invoke diabetes X_test ")


@pytest.mark.parametrize("line", ["deploy dia", "%time dia", "print('%deploy dia", "x = 5", "%deploy"])
def test_other_lines_are_left_alone(line: str) -> None:
    assert completions(MAGICS, line, lambda kind: NAMES[kind]) is None


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("%deploy diabetes --replicas", "number: fixed number of replicas"),
        ("%deploy diabetes --dry-run", "flag: show the changes without making them"),
        ("%invoke dia", "endpoint"),
        ("%invoke diabetes:version-a", "version"),
        ("%invoke diabetes X_", "variable of this notebook"),
        ("%deploy diabetes ri", "fitted estimator of this notebook"),
        ("%deploy diabetes --auth key", "choice: "),
        ("%mlj undep", "Delete endpoints"),
    ],
)
def test_each_completion_has_a_type_and_a_description_on_one_line(line: str, about: str) -> None:
    answer = described_completions(MAGICS, line, lambda kind: NAMES[kind])
    assert answer is not None
    (found,) = answer[1]
    assert found.about.startswith(about)
    assert len(found.about) <= 70
    assert "\n" not in found.about
