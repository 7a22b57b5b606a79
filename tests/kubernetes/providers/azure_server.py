"""A small Azure: the login of a managed identity, and the part of Azure Resource Manager that manages AKS clusters.

It follows the published REST API (managedClusters of Microsoft.ContainerService, asynchronous operations of ARM, App
Service's identity endpoint). It was never compared with Azure itself.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TOKEN = "token-of-azure"
_LOOKS = 2
"""Questions for the state of an operation before it is done."""

_CLUSTER = re.compile(
    rf"/subscriptions/{SUBSCRIPTION}/resourceGroups/(\w+)/providers/Microsoft.ContainerService/managedClusters/([\w-]+)"
    r"(/listClusterUserCredential)?"
)
_OPERATION = re.compile(r"/operations/(\d+)")


@dataclass
class _Operation:
    kind: str
    cluster: tuple[str, str]
    looks: int = _LOOKS


@dataclass
class Azure:
    """The clusters, and what was asked for.

    Parameters:
        kubeconfig: the kubeconfig of every cluster.
        clusters: their descriptions by resource group and name.
        requests: method and path of each request.
        failure: the code and message with which creations end; None if they succeed.
        forbidden: whether every request is refused for missing rights.

    """

    kubeconfig: str = ""
    clusters: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    failure: tuple[str, str] | None = None
    forbidden: bool = False
    operations: list[_Operation] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Return status, document and headers for a request."""
        self.requests.append(f"{method} {path}")
        if self.forbidden:
            return _error(403, "AuthorizationFailed", "The client has no authorization to perform the action.")
        if found := _OPERATION.search(path):
            return 200, self._look(self.operations[int(found[1])]), _SOON
        found = _CLUSTER.fullmatch(path)
        if found is None:
            return _error(404, "ResourceGroupNotFound", "Resource group could not be found.")
        key = (found[1], found[2])
        if method == "PUT":
            self.clusters[key] = body | {"name": key[1], "id": path}
            self.clusters[key]["properties"]["provisioningState"] = "Creating"
            return 201, self.clusters[key], self._begin(_Operation("create", key))
        if key not in self.clusters:
            return (204, None, {}) if method == "DELETE" else _error(404, "ResourceNotFound", f"{path} was not found.")
        if method == "DELETE":
            return 202, None, self._begin(_Operation("delete", key))
        if found[3]:
            value = base64.b64encode(self.kubeconfig.encode()).decode()
            return 200, {"kubeconfigs": [{"name": "clusterUser", "value": value}]}, {}
        return 200, self.clusters[key], {}

    def _begin(self, operation: _Operation) -> dict[str, str]:
        self.operations.append(operation)
        place = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerService/locations/x/operations"
        return {"Azure-AsyncOperation": f"{self.address}{place}/{len(self.operations) - 1}?api-version=1", **_SOON}

    def _look(self, operation: _Operation) -> Any:
        operation.looks -= 1
        if operation.looks > 0:
            return {"status": "InProgress"}
        if operation.kind == "delete":
            self.clusters.pop(operation.cluster, None)
        elif self.failure is not None:
            self.clusters[operation.cluster]["properties"]["provisioningState"] = "Failed"
            return {"status": "Failed", "error": {"code": self.failure[0], "message": self.failure[1]}}
        else:
            self.clusters[operation.cluster]["properties"]["provisioningState"] = "Succeeded"
        return {"status": "Succeeded"}


_SOON = {"x-ms-retry-after-ms": "20"}


def _error(status: int, code: str, message: str) -> tuple[int, Any, dict[str, str]]:
    return status, {"error": {"code": code, "message": message}}, {}


class _Handler(BaseHTTPRequestHandler):
    azure: Azure

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path == "/msi/token":
            token = {"access_token": TOKEN, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
            status, document, headers = 200, token | {"resource": "https://management.azure.com"}, {}
        elif self.headers.get("authorization") != f"Bearer {TOKEN}":
            status, document, headers = _error(401, "AuthenticationFailed", "The token is missing.")
        else:
            status, document, headers = self.azure.answer(self.command, path, json.loads(body) if body else None)
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - names of the base class

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def serve(azure: Azure, certificates: Path) -> ThreadingHTTPServer:
    """Serve with TLS, and write the authority to ``ca.pem``: Azure's packages send a token to no plain server."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificates / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"azure": azure}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    azure.address = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
