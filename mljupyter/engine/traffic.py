"""From the percentiles a user sets to the weights the router follows (Azure ML v1: controlled rollout)."""

from __future__ import annotations

from collections.abc import Mapping

WHOLE = 100


def weights(percentiles: Mapping[str, int], default: str) -> dict[str, int]:
    """Return each version's weight: its percentile, and what nobody claims goes to the default version.

    Versions without weight are left out. The weights add up to 100.

    Parameters:
        percentiles: version name to percentile, 0 to 100 each, at most 100 together.
        default: name of the default version, one of `percentiles`.

    Raises:
        ValueError: when a percentile or their sum is out of range, or the default is not among them.

    Example:
        >>> weights({"a": 20, "b": 10}, default="a")
        {'a': 90, 'b': 10}

    """
    if default not in percentiles:
        raise ValueError(f"the default version {default!r} is none of {sorted(percentiles)}")
    if any(not 0 <= percentile <= WHOLE for percentile in percentiles.values()):
        raise ValueError(f"a percentile is outside 0 to {WHOLE}: {dict(percentiles)}")
    unassigned = WHOLE - sum(percentiles.values())
    if unassigned < 0:
        raise ValueError(f"the percentiles add up to {WHOLE - unassigned}: at most {WHOLE}")
    shares = {name: share + (unassigned if name == default else 0) for name, share in percentiles.items()}
    return {name: share for name, share in shares.items() if share}
