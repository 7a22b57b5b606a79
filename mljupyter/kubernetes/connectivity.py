"""The check of connectivity that a pod runs on a node before anything else of an installation is started there.

``python -m mljupyter.kubernetes.connectivity [NAME=URL ...]`` resolves the name of the API server, reaches the API
server as operator and routers do, and then the given destinations: ``tcp://HOST:PORT`` for a connection,
``http://HOST:PORT/PATH`` for an answer. The result is one line of JSON on the standard output and in the pod's
termination message. This module imports nothing of the package, so that any image of it can run the check.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

DNS = "dns"
API_SERVER = "api-server"
API_SERVER_NAME = "kubernetes.default.svc"
CERTIFICATE = "/etc/mljupyter/cluster/ca.crt"
"""The authority of the API server's certificate; without it, only the connection is checked."""

TERMINATION_MESSAGE = Path("/dev/termination-log")
WITHIN_SECONDS = 5.0
_ATTEMPT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_FIRST_SERVER_ERROR = 500
_MOST_CHARACTERS = 300
_MOST_ADDRESSES = 3


@dataclass(frozen=True)
class Reached:
    """The result of one check.

    Parameters:
        name: of the check.
        reached: whether it succeeded.
        text: the address, or the reason of the failure.

    """

    name: str
    reached: bool
    text: str


def resolve(host: str) -> str:
    """Return the addresses of a name, as the cluster's DNS gives them.

    Raises:
        OSError: it has none, or no server answers.

    """
    found = sorted({str(item[4][0]) for item in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    return f"{host} is {', '.join(found[:_MOST_ADDRESSES])}"


def reach(url: str, certificate: str = CERTIFICATE) -> str:
    """Connect to a destination and return its address; every HTTP answer below 500 counts.

    Parameters:
        url: ``tcp://HOST:PORT``, ``http://HOST:PORT/PATH`` or ``https://HOST:PORT/PATH``.
        certificate: the path of the authority that is trusted for ``https``; if there is no such file, the connection
            alone is checked.

    Raises:
        OSError, http.client.HTTPException: there is no connection, or no answer.

    """
    wanted = urlsplit(url)
    host = wanted.hostname or ""
    port = wanted.port or (80 if wanted.scheme == "http" else 443)
    place = f"{host}:{port}"
    trusted = Path(certificate).is_file()
    if wanted.scheme == "tcp" or (wanted.scheme == "https" and not trusted):
        socket.create_connection((host, port), timeout=_ATTEMPT_SECONDS).close()
        return f"{place} accepts connections"
    connection: http.client.HTTPConnection
    if wanted.scheme == "https":
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(host, port, timeout=_ATTEMPT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ATTEMPT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", wanted.path or "/")
        status = connection.getresponse().status
    if status >= _FIRST_SERVER_ERROR:
        raise http.client.HTTPException(f"it answers {status}")
    return f"{place} answers"


def api_server(environment: Mapping[str, str]) -> str:
    """Return the URL at which pods reach the API server."""
    host = environment.get("KUBERNETES_SERVICE_HOST") or API_SERVER_NAME
    port = environment.get("KUBERNETES_SERVICE_PORT") or "443"
    return f"https://[{host}]:{port}/version" if ":" in host else f"https://{host}:{port}/version"


def check_all(
    destinations: Mapping[str, str], environment: Mapping[str, str], *, within: float = WITHIN_SECONDS
) -> list[Reached]:
    """Run all checks at once and return their results in order: DNS, API server, destinations.

    Parameters:
        destinations: URLs by the name of the check.
        environment: that of the pod.
        within: seconds for which a check is repeated: the network of a new pod may take a moment.

    """
    checks: dict[str, Callable[[], str]] = {
        DNS: lambda: resolve(API_SERVER_NAME),
        API_SERVER: lambda: reach(api_server(environment)),
        **{name: _reaching(url) for name, url in destinations.items()},
    }
    results: dict[str, Reached] = {}

    def run(name: str, check: Callable[[], str]) -> None:
        results[name] = _tried(name, check, within)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within + _ATTEMPT_SECONDS
    for thread in threads:  # a resolver may wait much longer
        thread.join(max(deadline - time.monotonic(), 0))
    late = f"no answer within {within:g} s"
    return [results.get(name) or Reached(name, False, late) for name in checks]


def main(arguments: Sequence[str]) -> int:
    """Run the checks and write their results; the exit status says only whether they could be run."""
    destinations = dict(argument.split("=", 1) for argument in arguments)
    text = json.dumps([asdict(result) for result in check_all(destinations, os.environ)])
    print(text, flush=True)
    with contextlib.suppress(OSError):  # there is none outside of a pod
        TERMINATION_MESSAGE.write_text(text, encoding="utf-8")
    return 0


def _reaching(url: str) -> Callable[[], str]:
    return lambda: reach(url)


def _tried(name: str, check: Callable[[], str], within: float) -> Reached:
    deadline = time.monotonic() + within
    while True:
        try:
            return Reached(name, True, check())
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                return Reached(name, False, (str(error) or type(error).__name__)[:_MOST_CHARACTERS])
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
