"""What a web service shows and lets be changed of its numbers of replicas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mljupyter.core.scaling import with_scaling
from mljupyter.core.webservice.changed import ChangedWebservice
from mljupyter.exceptions import as_webservice_exception

if TYPE_CHECKING:
    import pandas as pd


class ScaledWebservice(ChangedWebservice):
    """The part of a web service that has to do with numbers of replicas."""

    def scale(
        self,
        replicas: int | None = None,
        minimum: int | None = None,
        maximum: int | None = None,
        *,
        version: str | None = None,
        target_utilization: int | None = None,
        refresh_seconds: int | None = None,
        scale_down_seconds: int | None = None,
        scale_to_zero_seconds: int | None = None,
        max_wake_wait_ms: int | None = None,
    ) -> None:
        """Change how many replicas there are; returns at once, `wait_for_deployment` waits.

        Parameters:
            replicas: a fixed number of them, at least 1. All others let the number follow the load.
            minimum, maximum: its bounds. With a minimum of 0 the last replica ends when there are no requests, and
                requests wait while another one starts.
            version: the version of an endpoint; by default its default version.
            target_utilization: which part of the replicas should be busy, in percent.
            refresh_seconds: a change of the load is answered within this time.
            scale_down_seconds: there are fewer replicas after this time with less load.
            scale_to_zero_seconds: there is none after this time without a request, where `minimum` is 0.
            max_wake_wait_ms: how long requests wait for the first replica, about; then they are answered 503.

        Raises:
            WebserviceException: when nothing is given, `replicas` together with others, or a rule is broken.

        """
        given = {key: value for key, value in locals().items() if key not in ("self", "version")}
        self._replace(partial(with_scaling, version=version, **given))

    def scaling_history(self, version: str | None = None) -> pd.DataFrame:
        """Return the newest decisions on numbers of replicas, oldest first: when, from, to, why, and the numbers.

        Parameters:
            version: only those on this version.

        Returns:
            A DataFrame with the columns `time` (UTC), `version`, `before`, `after`, `admitted` (how many of these the
            machine has room for), `reason`, `demand` (requests that ran or waited), `needed` (replicas by the formula,
            before the bounds), `min_replicas`, `max_replicas`, `target_utilization` (percent) and
            `max_concurrent_requests`.

        """
        import pandas as pd

        from mljupyter.spec import ScalingDecision

        with as_webservice_exception():
            decisions = self.workspace.endpoints.scaling_history(self.name, version)
        frame = pd.DataFrame([item.model_dump() for item in decisions], columns=list(ScalingDecision.model_fields))
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        return frame
