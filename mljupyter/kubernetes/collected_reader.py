"""The reader of collected data: ``python -m mljupyter.kubernetes.collected_reader``, in a pod of its own.

It mounts the PersistentVolumeClaim for reading, and gives its files to the operator. So the operator needs no volume,
runs on any node, and starts although the volume cannot be mounted.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import signal
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mljupyter.client.errors import ControllerError, InvalidSpecError
from mljupyter.controller.api.collected import CollectedApi
from mljupyter.controller.api.endpoints import Handler, refusal
from mljupyter.controller.collected.directory import CollectedDirectory
from mljupyter.controller.http_server import http_server, listener_at
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import COLLECTED
from mljupyter.kubernetes.pod_process import run, secret_in
from mljupyter.spec import SpecError

_ENDS_WITHIN = 2


class _ForbiddenError(ControllerError):
    """The request has not the secret."""

    code = "Forbidden"
    status_code = 401


def application(root: Path, secret: str) -> Starlette:
    """Return the application.

    Parameters:
        root: the directory with a directory for each endpoint.
        secret: must be in the header of all requests but the probe.

    """

    def guarded(route: Route) -> Route:
        handler: Handler = route.endpoint

        async def answer(request: Request) -> Response:
            sent = request.headers.get(names.SECRET_HEADER, "").encode("latin-1")
            if not hmac.compare_digest(sent, secret.encode()):
                return refusal(_ForbiddenError(f"send the secret of this pod in the header {names.SECRET_HEADER}."))
            try:
                return await handler(request)
            except ControllerError as error:
                return refusal(error)
            except SpecError as error:
                return refusal(InvalidSpecError(error.message))

        return Route(route.path, answer, methods=["GET"])

    async def alive(request: Request) -> Response:
        return Response(b"ok\n")

    api = CollectedApi(CollectedDirectory(root), lambda name: None)
    return Starlette(routes=[Route("/healthz", alive), *map(guarded, api.routes)])


def main() -> int:
    """Serve the files until the process is asked to end. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.kubernetes.collected_reader", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(COLLECTED))
    parser.add_argument("--port", type=int, default=names.READER_PORT)
    parser.add_argument("--secret-file", type=Path, default=Path(names.ACCESS_DIRECTORY, names.INTERNAL_KEY))
    arguments = parser.parse_args()
    return run(_run(arguments), "the reader of collected data")


async def _run(arguments: argparse.Namespace) -> None:
    secret = secret_in(arguments.secret_file, "the operator")
    server = http_server(application(arguments.directory, secret), ends_within=_ENDS_WITHIN)

    def end() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with listener_at("", arguments.port) as listener:
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
