"""Texts of failed requests: the reason in one sentence, and the way out in a notebook."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.spec import EndpointRecord, EndpointState

_MOST_MESSAGE = 1000
_WAYS_OUT = {
    "NoReplicaReady": "Try again; %logs {name} says why if it stays.",
    "PayloadTooLarge": "Send a table in parts: %invoke {name} DATA --batch-rows 1000 -o result",
    "ReplicaBusy": "All replicas are busy: try again, or use more of them: %scale {name} N",
    "RouterOverloaded": "The router's memory is in use: send less at a time, or try again.",
    "ScoringTimeout": "Make the script faster, send fewer rows at a time, or allow more time: scoring_timeout_ms.",
    "TooManyRequests": "More requests a second than the rate limit of the endpoint allows: send them more slowly.",
    "Unauthorized": "The key or token was changed at this moment: run the line again.",
}


def answer_of(text: str) -> tuple[str, str]:
    """Return code and message of an answer that is an error; the code is empty if the answer is another text.

    Example:
        >>> answer_of('{"code": "ReplicaBusy", "message": "try later"}'), answer_of("division by zero")
        (('ReplicaBusy', 'try later'), ('', 'division by zero'))

    """
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "", text
    if not isinstance(found, dict) or not isinstance(found.get("message"), str):
        return "", text
    return str(found.get("code") or ""), found["message"]


def status_and_answer(message: str) -> tuple[int | None, str]:
    """Return status and body of an answer, from the message of `Webservice.run`; the status is None without an answer.

    Example:
        >>> status_and_answer("'iris' answered with status 500: no\\nIts log says more: service.get_logs()")
        (500, 'no')

    """
    _, answered, rest = message.partition(" answered with status ")
    status, colon, text = rest.partition(": ")
    if not answered or not colon or not status.isdecimal():
        return None, message
    return int(status), text.partition("\nIts log says more")[0].strip()


def failure_text(name: str, message: str, record: EndpointRecord | None, problem: str) -> str:
    """Return why a request failed, and the way out: one to three lines.

    Parameters:
        name: the name of the endpoint.
        message: the message of `Webservice.run`.
        record: the endpoint as it is now; None if it was deleted.
        problem: why the endpoint is not healthy, if it is not.

    """
    if record is None or record.status.state is EndpointState.DELETING:
        return f"There is no endpoint {name!r} any more: it was deleted. %endpoints lists those that there are."
    status, text = status_and_answer(message)
    code, told = answer_of(text)
    state = record.status.state
    unanswered = status in (None, 502, 503) and code in ("", "NoReplicaReady", "BadGateway", "ReplicaUnreachable")
    if unanswered and state is EndpointState.TRANSITIONING:
        wanted = any(version.replicas_wanted for version in record.status.versions.values())
        ready = f": {record.status.replicas} replicas are ready" if wanted else ""
        return (
            f"{name!r} is starting{ready}. Try again when it is Healthy.\n"
            f"%endpoints shows its state, %logs {name} its log."
        )
    if unanswered and state is not EndpointState.HEALTHY:
        return (
            f"{name!r} is {state} and cannot answer: {problem}\n"
            f"%logs {name} has its log. Remove the cause and deploy it again."
        )
    if unanswered and not any(version.replicas_ready for version in record.status.versions.values()):
        return (
            f"{name!r} was scaled to zero, and its first replica is not ready yet. Try again.\n"
            f"%logs {name} shows its start; %scale {name} --min 1 keeps one ready."
        )
    told = told if len(told) <= _MOST_MESSAGE else f"{told[:_MOST_MESSAGE]}…"
    if status is None:
        return told.replace("service.get_logs()", f"%logs {name}")
    way_out = _WAYS_OUT.get(code, "" if 400 <= status < 500 else "Its log says more: %logs {name}").format(name=name)
    return f"{name!r} answered with status {status}: {told}" + (f"\n{way_out}" if way_out else "")
