"""What is missing or silent, and what is done about it: table of situations."""

from __future__ import annotations

import pytest

from mljupyter.engine.replicas.replica_plan import DesiredVersion, ReplicaObservation, ReplicaPlan, plan
from mljupyter.engine.self_healing import (
    ADOPTED_WITHIN,
    ANSWER_WITHIN,
    BEGINS_WITHIN,
    ENDED_AFTER,
    LOOK_EVERY,
    SAID_AFTER,
    Remedy,
    ReplicaSocket,
    Router,
    Sockets,
    remedies,
    silent_router,
)
from mljupyter.spec import ReplicaPhase

HERE, ELSEWHERE = (1, 10), (1, 11)
READY, STARTING = ReplicaPhase.READY, ReplicaPhase.STARTING


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Sockets(), ()),
        (Sockets(controller=False), (Remedy.LISTEN_AGAIN,)),
        (Sockets(router=False), (Remedy.REPLACE_ROUTER,)),
        (Sockets(lost_replicas=frozenset({"a"})), (Remedy.REPLACE_REPLICAS,)),
        (Sockets(directory=False), (Remedy.PREPARE_DIRECTORY, Remedy.LISTEN_AGAIN)),
        (Sockets(directory=False, controller=False, router=False, lost_replicas=frozenset("a")), tuple(Remedy)),
    ],
)
def test_what_is_missing_is_made_again_and_the_directory_comes_first(
    found: Sockets, expected: tuple[Remedy, ...]
) -> None:
    assert remedies(found) == expected


@pytest.mark.parametrize(
    ("socket", "lost"),
    [
        (ReplicaSocket(HERE, HERE, ready=True, age=1000), False),
        (ReplicaSocket(HERE, None, ready=True, age=1), True),
        (ReplicaSocket(HERE, None, ready=False, age=1), True),
        (ReplicaSocket(HERE, ELSEWHERE, ready=True, age=1), True),
        (ReplicaSocket(None, None, ready=True, age=0), True),
        (ReplicaSocket(None, None, ready=False, age=BEGINS_WITHIN - 1), False),
        (ReplicaSocket(None, None, ready=False, age=BEGINS_WITHIN + 1), True),
        (ReplicaSocket(None, None, ready=False, age=ADOPTED_WITHIN / 2, adopted=True), False),
        (ReplicaSocket(None, None, ready=False, age=ADOPTED_WITHIN + 1, adopted=True), True),
    ],
)
def test_a_socket_is_lost_when_it_was_there_and_is_gone_or_another(socket: ReplicaSocket, lost: bool) -> None:
    assert socket.lost is lost


def test_a_router_that_is_silent_is_said_then_ended_within_15_seconds() -> None:
    decisions = [silent_router(looks) for looks in range(5)]
    assert decisions == [Router.LEFT, Router.LEFT, Router.SAID, Router.ENDED, Router.ENDED]
    assert LOOK_EVERY + SAID_AFTER * ANSWER_WITHIN < 10
    assert LOOK_EVERY + ENDED_AFTER * ANSWER_WITHIN < 13, "another one has time to start"


def lost(id: str, phase: ReplicaPhase = READY) -> ReplicaObservation:
    return ReplicaObservation(id, "now", phase, lost=True)


GOAL = DesiredVersion("now", 2, ready_revision="now")


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        ([lost("a"), lost("b")], ReplicaPlan("now", start=2, routed=("a", "b"))),
        ([lost("a"), ReplicaObservation("b", "now", READY)], ReplicaPlan("now", start=1, routed=("b",))),
        (
            [lost("a"), lost("b"), ReplicaObservation("c", "now", STARTING)],
            ReplicaPlan("now", start=1, routed=("c",), starting=True),
        ),
        (
            [lost("a"), ReplicaObservation("b", "now", READY), ReplicaObservation("c", "now", READY)],
            ReplicaPlan("now", drain=("a",), routed=("b", "c"), complete=True),
        ),
        (
            [lost("a", STARTING), ReplicaObservation("b", "now", READY)],
            ReplicaPlan("now", start=1, drain=("a",), routed=("b",)),
        ),
    ],
)
def test_a_replica_that_lost_its_socket_is_replaced_and_stops_when_the_others_are_ready(
    replicas: list[ReplicaObservation], expected: ReplicaPlan
) -> None:
    assert plan(GOAL, replicas, now=0) == expected
