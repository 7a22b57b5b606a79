"""The steps of a dataset that choose rows or files, such as `take` and `random_split`: decisions without I/O."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from mljupyter.tracking.errors import TrackingError

Step = Mapping[str, Any]


def take(count: int) -> Step:
    """Return the step that keeps the first rows or files."""
    return {"step": "take", "count": _count("count", count)}


def skip(count: int) -> Step:
    """Return the step that leaves out the first rows or files."""
    return {"step": "skip", "count": _count("count", count)}


def sample(probability: float, seed: int | None) -> Step:
    """Return the step that keeps each row or file with a probability."""
    return {"step": "split", "share": _share("probability", probability), "seed": _seed(seed), "part": 0}


def split(percentage: float, seed: int | None) -> tuple[Step, Step]:
    """Return the steps for the two parts of a random split. Each row or file is in exactly one part.

    Raises:
        TrackingError: the percentage is not between 0 and 1.

    """
    first = {"step": "split", "share": _share("percentage", percentage), "seed": _seed(seed), "part": 0}
    return first, {**first, "part": 1}


def kept(count: int, steps: Sequence[Step]) -> list[int]:
    """Return the positions that remain of `count` rows or files after the steps, in their order.

    Steps of other kinds are passed over.

    Example:
        >>> kept(5, [skip(1), take(2)])
        [1, 2]

    """
    positions = list(range(count))
    for step in steps:
        if step["step"] == "take":
            positions = positions[: step["count"]]
        elif step["step"] == "skip":
            positions = positions[step["count"] :]
        elif step["step"] == "split":
            draw = random.Random(step["seed"])  # noqa: S311 - a sample, not a secret
            first = [draw.random() < step["share"] for _ in positions]
            wanted = step["part"] == 0
            positions = [place for place, is_first in zip(positions, first, strict=True) if is_first is wanted]
    return positions


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TrackingError(f"{name} is {value!r}. Rule: a whole number from 0.")
    return value


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise TrackingError(f"{name} is {value!r}. Rule: a number between 0 and 1, such as 0.8.")
    return float(value)


def _seed(value: int | None) -> int:
    return random.SystemRandom().getrandbits(31) if value is None else int(value)
