"""A small router for tests of port-forwards: port 8081 answers with the body of the request, 8082 that it is ready."""

from __future__ import annotations

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - a name of the base class


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container ignores it otherwise
    threading.Thread(target=ThreadingHTTPServer(("", 8082), Handler).serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", 8081), Handler).serve_forever()
