"""Router statistics over a network: the reader gets the clusters that have changed since its last reading.

The source numbers its changes. The reader sends the token of the state that it has, and gets what is newer. If the
source does not know the token, since it or its Envoy has started again, the answer has the whole state. So a lost
answer loses nothing: the next question has the same token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.engine.changes import Changes
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import ANSWERS, COUNTERS, Counts


class StatisticsSource:
    """The statistics of one Envoy, with the numbers of their changes.

    Parameters:
        epoch: a text without a dot. Another source has another one: its numbers begin again.

    Attributes:
        statistics: the newest statistics.

    """

    def __init__(self, epoch: str) -> None:
        self._changes = Changes(epoch)
        self.statistics = RouterStatistics({})

    def put(self, statistics: RouterStatistics) -> None:
        """Take over newer statistics. A cluster has changed if it is another object than before."""
        before, now = self.statistics.clusters, statistics.clusters
        if statistics is self.statistics:
            return
        for name, cluster in now.items():
            if before.get(name) is not cluster:
                self._changes.note(name)
        for name in before.keys() - now.keys():
            self._changes.note(name)
        self.statistics = statistics

    def answer(self, token: str) -> dict[str, Any]:
        """Return what has changed since the state of a token, or the whole state.

        Parameters:
            token: that of an earlier answer; empty for the whole state.

        """
        known, clusters = self._changes.number_of(token), self.statistics.clusters
        changed = list(clusters) if known is None else self._changes.since(known)
        return {
            "token": self._changes.token,
            "whole": known is None,
            "denied": self.statistics.denied,
            "clusters": {name: _document(clusters[name]) for name in changed if name in clusters},
            "answers": {
                name: [getattr(given, counter) for counter in ANSWERS]
                for name in changed
                if name in clusters and (given := clusters[name].answers) is not None
            },
            "gone": [name for name in changed if name not in clusters],
        }


class StatisticsCopy:
    """The reader's copy of the statistics of a source.

    Attributes:
        token: the token of the next question.
        statistics: the same object while nothing changes, and in it the same objects for clusters that stay.

    """

    def __init__(self) -> None:
        self.token = ""
        self.statistics = RouterStatistics({})

    def take(self, answer: Mapping[str, Any]) -> RouterStatistics:
        """Take over an answer of the source, and return the statistics.

        Raises:
            ValueError, TypeError, LookupError: when it is no answer. The next question then asks for the whole state.

        """
        token, self.token = self.token, ""
        whole, denied = bool(answer["whole"]), int(answer["denied"])
        given = answer.get("answers", {})  # a source of an earlier release has none
        changed = {str(name): _cluster(document, given.get(name)) for name, document in answer["clusters"].items()}
        gone = {str(name) for name in answer["gone"]}
        if not whole and not token:
            raise ValueError("the answer has only changes, and the state before them is not known")
        if whole or changed or gone or denied != self.statistics.denied:
            before = {} if whole else self.statistics.clusters
            kept = {name: cluster for name, cluster in before.items() if name not in gone} if gone else before
            self.statistics = RouterStatistics({**kept, **changed}, denied)
        self.token = str(answer["token"])
        return self.statistics


def _document(cluster: Cluster) -> list[Any]:
    """Return a cluster as a short list: zeros at the end of its counters are left out."""
    numbers = [getattr(cluster.counts, name) for name in COUNTERS]
    while numbers and not numbers[-1]:
        del numbers[-1]
    latency = (cluster.counts.latency.encode() or b"").hex()
    return [numbers, latency, cluster.active, cluster.remaining_tries]


def _cluster(document: list[Any], given: list[Any] | None) -> Cluster:
    numbers, latency, active, remaining = document
    counters = [int(number) for number in numbers]
    counters += [0] * (len(COUNTERS) - len(counters))
    counts = Counts.of(counters, Histogram.decode(bytes.fromhex(latency)))
    tries = None if remaining is None else int(remaining)
    if given is None:
        return Cluster(counts, int(active), tries)
    requests, client_errors, server_errors, refused, timeouts = map(int, given)
    return Cluster(counts, int(active), tries, Counts(requests, client_errors, server_errors, refused, timeouts))
