"""A small operator for tests of its clients: it checks the secret, and answers with the request."""

from __future__ import annotations

import json
import os
import signal
import ssl
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = Path("/etc/mljupyter/access/api")


class Handler(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        given = self.headers.get("x-mljupyter-secret")
        if self.path in ("/healthz", "/readyz"):
            self.answer(200, {})
        elif given != SECRET.read_text().strip():
            self.answer(403, {"code": "Forbidden", "message": "this secret is not that of the operator."})
        elif self.path == "/v1/status":
            self.answer(200, {"method": self.command, "user": self.headers.get("mljupyter-user")})
        elif self.path == "/v1/endpoints":
            self.answer(200, [])
        elif self.path == "/v1/later":
            Handler.asked += 1
            if Handler.asked % 3:
                self.answer(503, {"code": "OperatorNotReady", "message": "this operator does not lead yet."})
            else:
                self.answer(200, {"asked": Handler.asked})
        else:
            self.answer(404, {"code": "WebserviceNotFound", "message": "there is no such endpoint."})

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - names of the base class

    def answer(self, status: int, document: object) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def lead() -> None:
    """Label this pod as the operator does, since the operator's Service leads to the pod with this label."""
    account = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    path = f"/api/v1/namespaces/{os.environ['MLJUPYTER_NAMESPACE']}/pods/{os.environ['MLJUPYTER_POD_NAME']}"
    headers = {
        "authorization": f"Bearer {(account / 'token').read_text()}",
        "content-type": "application/merge-patch+json",
    }
    body = json.dumps({"metadata": {"labels": {"mljupyter.io/leader": "true"}}}).encode()
    request = urllib.request.Request(server + path, body, headers, method="PATCH")
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    urllib.request.urlopen(request, context=trusted, timeout=30).close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container ignores it otherwise
    server = ThreadingHTTPServer(("", 8080), Handler)
    lead()
    server.serve_forever()
