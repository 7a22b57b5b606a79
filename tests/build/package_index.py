"""A package index on loopback with wheels made by hand, which can be held up and counts what it serves."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.waiting import HANG_SECONDS

USER, PASSWORD = "team", "hunter2secret"


def wheel(name: str, version: str, *, requires: tuple[str, ...] = (), size: int = 0) -> bytes:
    """Return a wheel with one module that knows its version, filled up to a size in bytes."""
    buffer = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {line}\n" for line in requires)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n".ljust(size, "#"))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def source(name: str, version: str, *, builds: bool = False) -> bytes:
    """Return a source archive whose metadata are there, and which can be built or not."""
    made = base64.b64encode(wheel(name, version)).decode()
    file = f"{name}-{version}-py3-none-any.whl"
    backend = (
        "import base64, pathlib\ndef build_wheel(directory, *a, **k):\n"
        f"    pathlib.Path(directory, {file!r}).write_bytes(base64.b64decode({made!r}))\n    return {file!r}\n"
    )
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    files = {
        "PKG-INFO": metadata,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend if builds else "def build_wheel(*a, **k):\n    raise RuntimeError('no compiler')\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{file}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class PackageIndex:
    """Serves wheels to who has the password. `go` holds up files while it is not set."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self.files: dict[str, bytes] = {}
        self.served: Counter[str] = Counter()
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True

    def add(self, name: str, version: str, *, tag: str = "py3-none-any", requires: tuple[str, ...] = ()) -> None:
        """Put a wheel into the index."""
        self.files[f"{name}-{version}-{tag}.whl"] = wheel(name, version, requires=requires)

    def add_source(self, name: str, version: str, *, builds: bool = False) -> None:
        """Put a source archive into the index, which can be built or not."""
        self.files[f"{name}-{version}.tar.gz"] = source(name, version, builds=builds)

    @property
    def option(self) -> str:
        """The line for pip that makes this the only index."""
        return f"--index-url http://{USER}:{PASSWORD}@{self._host}:{self._server.server_port}/simple"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    index: PackageIndex

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401, b"", {"WWW-Authenticate": "Basic"})
            return
        kind, name = self.path.strip("/").split("/")[:2]
        if kind == "simple":
            links = [
                f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>'
                for file, content in self.index.files.items()
                if file.split("-")[0].replace("_", "-") == name
            ]
            self._answer(200 if links else 404, f"<html><body>{''.join(links)}</body></html>".encode())
            return
        self.index.asked.set()
        self.index.go.wait(HANG_SECONDS)
        self.index.served[name] += 1
        self._answer(200, self.index.files[name])

    def do_HEAD(self) -> None:
        self._answer(405, b"")

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Content-Type": "text/html", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass
