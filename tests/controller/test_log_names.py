"""Names of versions and replicas in the lines of a log that several replicas write."""

from __future__ import annotations

from mljupyter.controller.logs.merge import merged
from mljupyter.controller.logs.names import with_names
from mljupyter.runtimes.base import LogPart, ReplicaLog


def log(replica: str, *lines: str) -> ReplicaLog:
    """Return the log of a replica."""
    return ReplicaLog(
        replica,
        0.0,
        lambda: iter(lines),
        after=lambda cursor, most_bytes=None, tail=None: LogPart(list(lines), cursor),
    )


ONE = log("both-1", "2026-01-01T00:00:01Z I [7] azmlinfsrv | ready\n", "no head\n")
TWO = log("both-2", "2026-01-01T00:00:02Z I [8] azmlinfsrv | ready\n")


def test_lines_of_several_replicas_name_them_and_keep_their_order() -> None:
    named = with_names([ONE, TWO], {"both-1": "both", "both-2": "both"})
    assert merged(named, 10) == (
        "2026-01-01T00:00:01Z I [7 both-1] azmlinfsrv | ready\n"
        "no head\n"
        "2026-01-01T00:00:02Z I [8 both-2] azmlinfsrv | ready\n"
    )
    assert named[1].after(None).lines == ["2026-01-01T00:00:02Z I [8 both-2] azmlinfsrv | ready\n"]


def test_the_version_is_named_where_there_are_several() -> None:
    named = with_names([ONE, TWO], {"both-1": "blue", "both-2": "green"})
    assert next(named[0].lines()) == "2026-01-01T00:00:01Z I [7 blue both-1] azmlinfsrv | ready\n"


def test_a_replica_whose_name_has_the_version_is_named_alone() -> None:
    named = with_names([ONE, log("both-v2-1", "2026-01-01T00:00:02Z I [8] a | x")], {"both-1": "v1", "both-v2-1": "v2"})
    assert next(named[1].lines()) == "2026-01-01T00:00:02Z I [8 both-v2-1] a | x"


def test_a_single_log_stays_as_it_is() -> None:
    assert with_names([ONE], {"both-1": "both"}) == [ONE]
