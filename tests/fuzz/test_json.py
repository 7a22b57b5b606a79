"""Any JSON document, valid or not: the fast `json.loads` of workers does what the standard library does."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import Budget
from tests.fuzz.json_documents import document, fast, outcome, standard_loads


def test_any_document_has_the_value_or_the_error_of_the_standard_library(budget: Budget) -> None:
    with fast() as loads:

        @given(st.integers(0, 2**64), st.text(max_size=3) | st.binary(max_size=3))
        @budget.example
        def search(seed: int, appended: str | bytes) -> None:
            made = document(random.Random(seed))
            data = made + appended if isinstance(appended, str) else made.encode("utf-8", "surrogatepass") + appended
            assert outcome(loads, data) == outcome(standard_loads, data), data

        budget.search(search)
