"""A reader of router statistics gets what has changed, and loses nothing when an answer or the source is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import Counts
from mljupyter.telemetry.metrics.statistics_delta import StatisticsCopy, StatisticsSource


def cluster(requests: int, active: int = 0) -> Cluster:
    counts = Counts(requests=requests, bytes_out=7, latency=Histogram.of([3.0] * requests))
    return Cluster(counts, active, 100 - active)


def sent(source: StatisticsSource, token: str) -> dict[str, Any]:
    answer = json.loads(json.dumps(source.answer(token)))
    assert isinstance(answer, dict)
    return answer


def many(number: int) -> dict[str, Cluster]:
    return {f"endpoint-{index}.one": cluster(index + 1) for index in range(number)}


def test_the_first_answer_is_the_whole_state_and_equals_that_of_the_source() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics({"iris.one": cluster(3, active=1), "iris.one.mirror": Cluster()}, denied=2))
    assert copy.take(sent(source, copy.token)) == source.statistics


def test_without_changes_an_answer_has_no_clusters_and_the_state_is_the_same_object() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics(many(1000)))
    before = copy.take(sent(source, ""))
    answer = sent(source, copy.token)
    assert len(json.dumps(answer)) < 100
    assert copy.take(answer) is before


def test_an_answer_has_the_clusters_that_changed_alone_and_the_others_stay_the_same_objects() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics(many(1000)))
    before = copy.take(sent(source, ""))
    source.put(RouterStatistics({**source.statistics.clusters, "endpoint-7.one": cluster(9)}, denied=1))
    answer = sent(source, copy.token)
    assert list(answer["clusters"]) == ["endpoint-7.one"]
    after = copy.take(answer)
    assert after == source.statistics
    assert after.clusters["endpoint-8.one"] is before.clusters["endpoint-8.one"]


def test_a_lost_answer_is_made_up_for_by_the_next_one() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics({"iris.one": cluster(1)}))
    copy.take(sent(source, ""))
    source.put(RouterStatistics({**source.statistics.clusters, "rose.one": cluster(2)}))
    sent(source, copy.token)  # lost
    source.put(RouterStatistics({**source.statistics.clusters, "lily.one": cluster(4)}))
    assert copy.take(sent(source, copy.token)) == source.statistics


def test_clusters_that_are_gone_go_from_the_copy() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics(many(3)))
    copy.take(sent(source, ""))
    source.put(RouterStatistics({"endpoint-1.one": source.statistics.clusters["endpoint-1.one"]}))
    assert copy.take(sent(source, copy.token)) == source.statistics


def test_a_source_that_starts_again_sends_its_whole_state() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics(many(3)))
    copy.take(sent(source, ""))
    again = StatisticsSource("b")
    again.put(RouterStatistics({"iris.one": cluster(1)}))
    assert copy.take(sent(again, copy.token)) == again.statistics


@pytest.mark.parametrize("token", ["", "a", "a.", "a.-1", "a.99", "b.1", "a.1.2", "a.²"])
def test_an_unknown_token_gets_the_whole_state(token: str) -> None:
    source = StatisticsSource("a")
    source.put(RouterStatistics(many(3)))
    assert sent(source, token)["whole"] is True


def test_after_an_invalid_answer_the_whole_state_is_asked_for() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    source.put(RouterStatistics(many(3)))
    copy.take(sent(source, ""))
    with pytest.raises((ValueError, TypeError, LookupError)):
        copy.take({**sent(source, copy.token), "clusters": {"iris.one": [1]}})
    assert copy.take(sent(source, copy.token)) == source.statistics


def test_changes_without_the_state_before_them_are_refused() -> None:
    source = StatisticsSource("a")
    source.put(RouterStatistics(many(3)))
    with pytest.raises(ValueError, match="not known"):
        StatisticsCopy().take(sent(source, "a.0"))


def test_answers_are_sent_and_a_source_of_an_earlier_release_has_none() -> None:
    source, copy = StatisticsSource("a"), StatisticsCopy()
    given = Counts(requests=9, client_errors=4, server_errors=3, refused=2, timeouts=1)
    source.put(RouterStatistics({"iris.one": Cluster(Counts(requests=3), answers=given)}))
    answer = sent(source, "")
    assert copy.take(answer) == source.statistics
    del answer["answers"]
    assert StatisticsCopy().take(answer).clusters["iris.one"].answers is None
