"""The guard of a rollout: conditions such as ``p95<200ms, errors<1%``, read from text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from mljupyter.spec.document import SpecError

ERRORS = "errors"
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
METRICS = (*PERCENTILES, ERRORS)
_CONDITION = re.compile(r"([A-Za-z]\w*)\s*(<=?)\s*(\d+(?:\.\d+)?)\s*(ms|s|%)?")
_SEPARATOR = re.compile(r"\s*(?:,|;|\band\b)\s*")
_LONGEST_TEXT = 200
_LONGEST_MS = 3_600_000.0
_GRAMMAR = "Conditions are METRIC<LIMIT, separated by commas: p50, p90, p95, p99 in ms or s; errors in %."


@dataclass(frozen=True)
class Condition:
    """One condition: a metric and its upper limit. Limits are in milliseconds, or in percent for errors."""

    metric: str
    limit: float
    inclusive: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value is within the limit."""
        return value <= self.limit if self.inclusive else value < self.limit

    def __str__(self) -> str:
        return f"{self.metric}{'<=' if self.inclusive else '<'}{shown(self.metric, self.limit)}"


@dataclass(frozen=True)
class Guard:
    """All conditions of a rollout. Each metric has at most one."""

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read conditions from text.

        Raises:
            SpecError: with the part that is not a condition, and the grammar.

        Example:
            >>> str(Guard.parse("p95 < 0.2s and errors<1%"))
            'p95<200ms, errors<1%'

        """
        if len(text) > _LONGEST_TEXT:
            raise SpecError(f"guard has {len(text)} characters: at most {_LONGEST_TEXT}. {_GRAMMAR}")
        conditions = tuple(_condition(part) for part in _SEPARATOR.split(text.strip()))
        metrics = [condition.metric for condition in conditions]
        for metric in metrics:
            if metrics.count(metric) > 1:
                raise SpecError(f"guard {text!r} names {metric} twice: one condition for each metric.")
        return cls(conditions)

    def __str__(self) -> str:
        return ", ".join(str(condition) for condition in self.conditions)


def shown(metric: str, value: float) -> str:
    """Return a metric's value with its unit.

    Example:
        >>> shown("p95", 12.345), shown("errors", 0.5), shown("p50", 2.04)
        ('12.3ms', '0.5%', '2.04ms')

    """
    return f"{value:.3g}%" if metric == ERRORS else f"{value:.3g}ms" if value < 100 else f"{value:.0f}ms"


def _condition(part: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    if match is None:
        raise SpecError(f"guard has {part!r}, which is not a condition. {_GRAMMAR}")
    metric, operator, number, unit = match.groups()
    if metric not in METRICS:
        raise SpecError(f"guard has the metric {metric!r}: it knows {', '.join(METRICS)}.")
    if unit is None or (unit == "%") != (metric == ERRORS):
        wanted = "%" if metric == ERRORS else "ms or s"
        raise SpecError(f"guard has {part!r}: {metric} is in {wanted}, for example {metric}<1{wanted[:2].strip()}.")
    limit = float(number) * (1000.0 if unit == "s" else 1.0)
    inclusive = operator == "<="
    most = 100.0 if metric == ERRORS else _LONGEST_MS
    if limit > most or (limit == 0 and not inclusive):
        raise SpecError(
            f"guard has {part!r}: the limit is above 0 and at most {shown(metric, most)}. "
            f"For none at all: {metric}<=0{'%' if metric == ERRORS else 'ms'}"
        )
    return Condition(metric, limit, inclusive)
