"""Number of replicas that a load needs.

Azure: the formula of its documentation.
"""

from __future__ import annotations

from mljupyter.engine.scaling import autoscaling
from mljupyter.exceptions import WebserviceException


def replicas_needed(target_rps: float, request_time: float, max_concurrent: int = 1, utilization: float = 0.7) -> int:
    """Return the number of replicas that a load needs.

    Parameters:
        target_rps: requests per second.
        request_time: seconds that one request takes.
        max_concurrent: requests that a replica runs at once.
        utilization: the share of busy replicas to aim at, above 0 and at most 1.

    Raises:
        WebserviceException: a value is out of its range.

    Example:
        >>> from mljupyter.core import replicas_needed
        >>> replicas_needed(target_rps=20, request_time=10)
        286

    """
    try:
        return autoscaling.replicas_needed(target_rps, request_time, max_concurrent, utilization)
    except (TypeError, ValueError, OverflowError) as error:
        raise WebserviceException(f"{error}.") from None
