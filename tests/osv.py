"""A vulnerability service of this machine, in OSV's protocol: it knows of one vulnerability in one package."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(package: str, id: str, summary: str, version: str | None = None) -> Iterator[ThreadingHTTPServer]:
    """Serve while the block runs; `version` is the one affected, None for whichever is asked about."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            affected = {"package": {"name": package, "ecosystem": "PyPI"}, "versions": [version or asked["version"]]}
            known = {"id": id, "modified": "2026-01-01T00:00:00Z", "summary": summary, "affected": [affected]}
            answer = json.dumps({"vulns": [known]} if asked["package"]["name"] == package else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def address(server: ThreadingHTTPServer) -> str:
    """Return the URL that pip-audit asks."""
    return f"http://127.0.0.1:{server.server_port}/v1/query"
