"""Names that are proposed for endpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.endpoints.proposed_name import proposed_name
from mljupyter.spec.names import ENDPOINT


@pytest.mark.parametrize(
    ("model", "taken", "name"),
    [
        ("wine", (), "wine"),
        ("my_model", (), "my-model"),
        ("search.best_estimator_", (), "search-best-estimator"),
        ("lr", (), "lr-model"),
        ("2nd_modèle", (), "nd-modele"),
        ("wine", ("wine", "wine-2"), "wine-3"),
    ],
)
def test_a_name_is_made_of_that_of_the_model(model: str, taken: tuple[str, ...], name: str) -> None:
    assert proposed_name(model, taken) == name


@given(st.text(), st.integers(0, 4))
def test_every_proposed_name_fits_the_rule_and_is_free(model: str, others: int) -> None:
    taken: set[str] = set()
    for _ in range(others):
        taken.add(proposed_name(model, taken))
    name = proposed_name(model, taken)
    assert ENDPOINT.check(name) and len(taken) == others and name not in taken
