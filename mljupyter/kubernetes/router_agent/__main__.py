"""The process of a router pod: ``python -m mljupyter.kubernetes.router_agent``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from mljupyter.controller.http_server import http_server, listener_at
from mljupyter.controller.router.resource_files import RouterSettings
from mljupyter.controller.router.router import Router
from mljupyter.errors import MLJupyterError
from mljupyter.files import make_private_directory
from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import namespaces_of
from mljupyter.kubernetes.pod_process import run, secret_in
from mljupyter.kubernetes.router_agent.agent import Agent
from mljupyter.kubernetes.router_agent.api import application
from mljupyter.kubernetes.router_agent.published import PublishedListening
from mljupyter.kubernetes.router_agent.replica_stream import ReplicaStream

_ENDS_WITHIN = 2

log = logging.getLogger(__name__)


def main() -> int:
    """Run the router of a pod until it is asked to end. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.kubernetes.router_agent", description=__doc__)
    parser.add_argument("--namespace", default=os.environ.get(names.NAMESPACE_VARIABLE, names.DEFAULT_NAMESPACE))
    parser.add_argument(
        "--endpoint-namespaces",
        type=namespaces_of,
        default=namespaces_of(os.environ.get(names.ENDPOINT_NAMESPACES_VARIABLE, "")),
        help="other namespaces of replicas, with commas between them",
    )
    parser.add_argument("--directory", type=Path, default=Path(names.STATE_DIRECTORY))
    parser.add_argument("--port", type=int, default=names.ROUTER_PORT, help="port of all endpoints")
    parser.add_argument("--address", default="", help="address of the agent's API; by default all of this pod's")
    parser.add_argument("--agent-port", type=int, default=names.AGENT_PORT, help="port of the agent's API")
    parser.add_argument("--secret-file", type=Path, default=Path(names.ACCESS_DIRECTORY, names.INTERNAL_KEY))
    parser.add_argument("--kubeconfig", type=Path, help="file with credentials; by default those of this pod")
    parser.add_argument("--context", help="context in this file; by default its current one")
    arguments = parser.parse_args()
    return run(_run(arguments), "the router")


async def _run(arguments: argparse.Namespace) -> None:
    secret = secret_in(arguments.secret_file, "the agent's API")
    directory: Path = arguments.directory
    configuration = directory / "router"
    make_private_directory(configuration)
    listening = PublishedListening(directory / "listening.json")
    settings = RouterSettings(
        configuration,
        directory / "admin.sock",
        arguments.port,
        stream=directory / "replicas.sock",
        event_loop_statistics=True,
        container_memory_bytes=memory_limit(os.environ),
    )
    stream = ReplicaStream(directory / "replicas.sock")
    await stream.start()
    api = await ApiServer.connect(arguments.kubeconfig, arguments.context)
    router = Router(settings, listening, changed=lambda: None, stream=stream)
    agent = Agent(api, arguments.namespace, router, listening, arguments.endpoint_namespaces)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = http_server(application(agent, secret), ends_within=_ENDS_WITHIN)
    with listener_at(arguments.address, arguments.agent_port) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        working = asyncio.create_task(agent.run())
        asked = asyncio.create_task(ended.wait())
        await asyncio.wait([serving, working, asked], return_when=asyncio.FIRST_COMPLETED)
        log.info("the router ends when its clients have gone")
        await agent.retire()
        working.cancel()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await serving
    await stream.close()
    await api.close()


def memory_limit(environment: Mapping[str, str]) -> int | None:
    """Return the memory limit of this container in bytes, which its Deployment gives; None outside a pod.

    Raises:
        MLJupyterError: when it is not a positive number.

    Example:
        >>> memory_limit({"MLJUPYTER_MEMORY_LIMIT": "1073741824"}), memory_limit({})
        (1073741824, None)

    """
    text = environment.get(names.MEMORY_LIMIT_VARIABLE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise MLJupyterError(
            f"the environment variable {names.MEMORY_LIMIT_VARIABLE} is {text[:100]!r}: it must be the memory limit of "
            "the container in bytes. Install the router by its manifests:\nmljupyter computetarget attach"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
