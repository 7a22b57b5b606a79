"""What a web service has done: its metrics as a table, and as plots."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import WebserviceException, as_webservice_exception

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from mljupyter.core.workspace import Workspace
    from mljupyter.telemetry.metrics.periods import Length

_BY = ("version", "endpoint", "replica")


class MeasuredWebservice:
    """The part of a web service that reads its metrics."""

    workspace: Workspace
    name: str

    def metrics(
        self, since: Length | datetime = "15m", by: str = "version", every: Length | None = None
    ) -> pd.DataFrame:
        """Return what was measured, as a tidy pandas DataFrame: one row for each interval and version.

        Seconds are kept for an hour, minutes for a month. The columns and their units are listed in
        ``docs/metrics.md``; percentiles are those of all requests of the interval.

        Parameters:
            since: how far back: '90s', '15m', '2h', '7d', a number of seconds, a timedelta, or a datetime.
            by: 'version'; 'endpoint' for all versions together; 'replica' for CPU and memory of each replica.
            every: length of an interval, as `since`; None takes the shortest with at most 1,000 of them.

        Raises:
            WebserviceException: when an argument is wrong, or the web service is gone.
            MissingPackageError: when pandas is not installed.

        """
        from mljupyter.telemetry.metrics.frame import data_frame

        if by not in _BY:
            raise WebserviceException(f"by is {by!r}: it must be 'version', 'endpoint' or 'replica'.")
        return data_frame(self._report(since, every, merge=by == "endpoint"), by)

    def plot(
        self,
        kind: str = "latency",
        since: Length | datetime = "15m",
        every: Length | None = None,
        template: str | None = None,
    ) -> Figure:
        """Return a Plotly figure of what was measured.

        Parameters:
            kind: 'latency' (percentiles), 'traffic' (requests per second, configured and observed shares), 'replicas'
                (wanted and ready, requests that run and wait) or 'errors' (by class).
            since, every: as for `metrics`.
            template: 'light', 'dark' or the name of a Plotly template; None takes that of the notebook.

        Raises:
            WebserviceException: when the web service is gone.
            PlotError: when there is no such plot or template.
            MissingPackageError: when Plotly is not installed.

        """
        from mljupyter.telemetry.metrics.figures import figure

        return figure(kind, self._report(since, every, merge=False), template=template)

    def _report(self, since: Length | datetime, every: Length | None, *, merge: bool) -> dict[str, Any]:
        from mljupyter.telemetry.metrics.periods import seconds_of, seconds_since

        with as_webservice_exception():
            seconds = seconds_since(since, datetime.now(UTC))
            whole = None if every is None else round(seconds_of(every, "every"))
            return self.workspace.endpoints.metrics(self.name, since=seconds, every=whole, merge=merge)
