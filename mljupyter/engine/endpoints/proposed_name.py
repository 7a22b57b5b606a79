"""Proposed name: a name for a new endpoint, made from the name of its model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from itertools import count

_LEAST, _MOST = 3, 32  # characters of a name
_ENDING = len("-999")


def proposed_name(model: str, taken: Collection[str] = ()) -> str:
    """Return a name for an endpoint that no other one has.

    Parameters:
        model: the name of a variable or a model.
        taken: the names of the endpoints that exist.

    Example:
        >>> proposed_name("search.best_estimator_"), proposed_name("lr"), proposed_name("wine", ["wine", "wine-2"])
        ('search-best-estimator', 'lr-model', 'wine-3')

    """
    plain = unicodedata.normalize("NFKD", model).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-").lstrip("-0123456789")[: _MOST - _ENDING].strip("-")
    if len(name) < _LEAST:
        name = f"{name}-model".strip("-")
    return next(one for number in count(1) if (one := name if number == 1 else f"{name}-{number}") not in taken)
