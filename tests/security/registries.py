"""A container registry that says whatever a test wants, and notes what it got."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Got:
    """One request that a registry got."""

    method: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Answer:
    """What a registry answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeRegistry:
    """Answers by method and path; everything else is 404."""

    host: str = ""
    answers: dict[tuple[str, str], Answer | Callable[[Got], Answer]] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)

    def serve(self, path: str, body: bytes, media_type: str = "application/octet-stream") -> None:
        """Answer GET and HEAD of a path below ``/v2/``."""
        for method in ("GET", "HEAD"):
            self.answers[method, f"/v2/{path}"] = Answer(200, body, {"Content-Type": media_type})

    def serve_image(
        self,
        layers: list[tuple[str, bytes]],
        *,
        config: dict[str, Any] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda manifest: None,
    ) -> None:
        """Serve ``team/python:1`` of layers, each with the digest that is claimed for it and its bytes."""
        described = config if config is not None else config_of(len(layers))
        written = json.dumps(described).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(written), "size": len(written)},
            "layers": [{"mediaType": LAYER, "digest": digest, "size": len(content)} for digest, content in layers],
        }
        change(manifest)
        self.serve("team/python/manifests/1", json.dumps(manifest).encode(), OCI_MANIFEST)
        self.serve(f"team/python/blobs/{digest_of(written)}", written)
        for digest, content in layers:
            self.serve(f"team/python/blobs/{digest}", content)

    def authorizations(self) -> set[str | None]:
        """Return the credentials that it was sent."""
        return {one.authorization for one in self.got}


@contextmanager
def running(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    """Let a registry answer on a port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = self.headers.get("Content-Length")
            got = Got(self.command, self.path, self.headers.get("Authorization"), self.rfile.read(int(length or 0)))
            registry.got.append(got)
            known = registry.answers.get((self.command, self.path)) or registry.answers.get(
                (self.command, self.path.partition("?")[0]), Answer(404, b"{}")
            )
            answer = known(got) if callable(known) else known
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - names of the standard library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def digest_of(content: bytes) -> str:
    """Return the digest of content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def config_of(layers: int) -> dict[str, Any]:
    """Return the configuration of an image."""
    diff_ids = [digest_of(str(number).encode()) for number in range(layers)]
    return {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}


def layer(*names: str, unpacked: bytes = b"") -> bytes:
    """Return a layer with files of these names, and `unpacked` behind the archive's end."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    return gzip.compress(raw.getvalue() + unpacked)
