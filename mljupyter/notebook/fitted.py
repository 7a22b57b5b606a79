"""Fitted estimators: those among the variables of a kernel, and those that a page tells of another kernel."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST = 200
_MOST_CHARACTERS = 200


class FittedEstimators(dict[str, str]):
    """The names of fitted estimators with their classes, the newest first. A kernel shows them as JSON."""

    def _repr_json_(self) -> dict[str, str]:
        return dict(self)


def fitted_estimators(namespace: Mapping[str, Any]) -> FittedEstimators:
    """Return the fitted estimators among the variables of a user, the newest first.

    Parameters:
        namespace: the variables; names that begin with ``_`` are left out.

    Example:
        >>> fitted_estimators({"x": 1})
        {}

    """
    if "sklearn" not in sys.modules:
        return FittedEstimators()  # no variable was fitted with it, and its import takes a second
    from mljupyter.core.estimator import (  # slow import; a kernel may ask for the first time
        is_fitted,
        looks_like_estimator,
    )

    return FittedEstimators(
        (name, type(value).__name__)
        for name, value in reversed(dict(namespace).items())
        if not name.startswith("_") and looks_like_estimator(value) and is_fitted(value)
    )


@dataclass(frozen=True)
class Elsewhere:
    """An estimator in the kernel of a notebook, seen from a process that does not have it."""

    kind: str
    place: str


@dataclass
class EstimatorsElsewhere:
    """The fitted estimators of the kernels of notebooks, as a page tells of them.

    Attributes:
        found: the estimators by name, those that were told last first.
        lost: those that were told once, and are not there any more.

    """

    found: dict[str, Elsewhere] = field(default_factory=dict)
    lost: dict[str, Elsewhere] = field(default_factory=dict)

    def hear(self, place: object, estimators: object) -> None:
        """Take the estimators of a notebook in place of those that were told of it before; ignore what is malformed.

        Parameters:
            place: the name of the notebook.
            estimators: the answer of its kernel: classes by names.

        Example:
            >>> known = EstimatorsElsewhere()
            >>> known.hear("a.ipynb", {"ridge": "Ridge", "no name": "Ridge"})
            >>> known.found
            {'ridge': Elsewhere(kind='Ridge', place='a.ipynb')}
            >>> known.hear("a.ipynb", {})
            >>> known.found, known.lost
            ({}, {'ridge': Elsewhere(kind='Ridge', place='a.ipynb')})

        """
        if not isinstance(place, str) or not isinstance(estimators, Mapping):
            return
        told = {
            name: Elsewhere(kind[:_MOST_CHARACTERS], place[:_MOST_CHARACTERS])
            for name, kind in list(estimators.items())[:_MOST]
            if isinstance(name, str) and name.isidentifier() and len(name) <= _MOST_CHARACTERS and isinstance(kind, str)
        }
        kept = {name: one for name, one in self.found.items() if name not in told and one.place != place}
        gone = {name: one for name, one in {**self.lost, **self.found}.items() if name not in told and name not in kept}
        self.found = {**told, **kept}
        self.lost = dict(list(gone.items())[-_MOST:])
