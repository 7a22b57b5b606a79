"""What a web service's replicas have written: their log, and the records of requests (Azure ML v1: get_logs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.exceptions import as_webservice_exception


class LoggedWebservice(DescribedWebservice):
    """The logs of a web service, of all its replicas in the order of time, of those that have ended, too."""

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """Return the last lines of the log.

        Parameters:
            num_lines: how many lines at most.
            init: only what was written while it started.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.logs(self.name, lines=num_lines, startup=init)

    def follow_logs(self, num_lines: int = 100) -> Iterator[str]:
        """Yield the last lines of the log, and then each line that a replica writes, with its line end.

        It goes on over updates, replicas that take each other's place, and restarts of the controller. It ends when the
        web service is deleted; an interrupt ends it at any time.

        Parameters:
            num_lines: how many lines to begin with.

        Example:
            >>> for line in service.follow_logs():                                               # doctest: +SKIP
            ...     print(line, end="")

        """
        self._check_not_deleted()
        with as_webservice_exception():
            yield from self.workspace.endpoints.follow_logs(self.name, lines=num_lines)

    def get_insights(self, num_records: int = 1000) -> list[dict[str, Any]]:
        """Return the newest records of requests and of what the script logged, the oldest of them first.

        There are none unless the web service was deployed or updated with ``enable_app_insights=True``.

        Parameters:
            num_records: how many at most.

        Example:
            >>> slow = [r for r in service.get_insights() if r.get("duration", 0) > 1000]        # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.records(self.name, count=num_records)
