"""``%rollout``: give a version more and more of the requests, as long as it keeps a guard."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.frontend.reading import WrongInputError
from mljupyter.frontend.views import Text
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic

GUARD = Option(
    "guard",
    "conditions such as 'p95<200ms, errors<1%'; when one is broken, requests are divided as before",
    metavar="CONDITIONS",
)


def run(call: Call) -> Any:
    """Begin, pause, resume or abort a rollout, or wait for it; return it as a line of text."""
    from mljupyter.core.releases import control, steps_of, versioned_endpoint

    actions = [action for action in ("pause", "resume", "abort") if call[action]]
    if len(actions) + (call["version"] is not None) > 1:
        given = [*([call["version"]] if call["version"] else []), *(f"--{action}" for action in actions)]
        raise WrongInputError(f"{' and '.join(given)}: one thing at a time.")
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    endpoint = versioned_endpoint(workspace, call["name"])
    if call["version"] is not None:
        least = {} if call["least_requests"] is None else {"least_requests": call["least_requests"]}
        endpoint.rollout(
            call["version"], steps_of(call["steps"]), call["every"], call["guard"], promote=call["promote"], **least
        )
    elif actions:
        control(endpoint, actions[0])
    return finish(call, endpoint)


def finish(call: Call, endpoint: Any) -> Any:
    """Wait for the end of the rollout if asked for, and show it."""
    from mljupyter.core.releases import NO_ROLLOUT

    wait = call["wait"]
    quiet = call.values.get("quiet") or call["json"]
    found = endpoint.wait_for_rollout(show_output=not quiet) if wait else endpoint.rollout_status()
    if call["json"]:
        document = found.document() if found is not None else None
        print(json_line(document))
        return call.deliver(document) if call["output"] else None
    if call["output"]:
        return call.deliver(found)
    if wait and not quiet and found is not None:
        return None  # its steps and its end stand there already
    return Text(found.text() if found is not None else NO_ROLLOUT)


MAGIC = Magic(
    name="rollout",
    summary="Give a version of an endpoint more and more of its requests, or show how far that is.",
    options=(
        ENDPOINT_NAME,
        Option("version", "the version; without it, the rollout is shown", metavar="VERSION", positional=True),
        Option("steps", "its shares in percent, rising", metavar="PERCENT,...", default="5,25,100"),
        Option("every", "how long a step takes at least", kind="duration", metavar="TIME", default="1m"),
        GUARD,
        Option(
            "least-requests", "requests that a condition needs to be judged", kind="integer", metavar="N", minimum=1
        ),
        Option("promote", "make it the default version in the end", kind="flag"),
        Option("wait", "wait for the end and print a line for each step", kind="flag"),
        Option("pause", "hold the rollout in its step; the guard stays in force", kind="flag"),
        Option("resume", "go on with a paused rollout; its step begins anew", kind="flag"),
        Option("abort", "end the rollout; requests are divided as before it", kind="flag"),
        JSON,
        OUTPUT,
        QUIET,
    ),
    example="%rollout diabetes version-b --steps 5,25,100 --every 10m --guard 'p95<200ms, errors<1%' --promote\n"
    "%rollout diabetes\n%rollout diabetes --abort",
    run=run,
)
