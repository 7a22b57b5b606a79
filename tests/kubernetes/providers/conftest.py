"""A workspace, small commands in the places of kind, k3d and minikube, and an API server that refuses an attachment."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from mljupyter.core import Workspace

# The real tools create clusters for minutes, and need an engine and the network. These record their calls.
_TOOL = """\
#!/bin/sh
echo "${0##*/} $*" >> "$FAKE_TOOLS/calls"
echo "$KUBECONFIG" >> "$FAKE_TOOLS/kubeconfigs"
echo "working on ${0##*/}" >&2
[ -e "$FAKE_TOOLS/fail" ] && { echo "no space left on device" >&2; exit 3; }
[ -e "$FAKE_TOOLS/hang" ] && sleep 600
case "$*" in
  "kubeconfig get"*) cat "$FAKE_TOOLS/kubeconfig" ;;
  "create cluster"*|start*) cp "$FAKE_TOOLS/kubeconfig" "$KUBECONFIG" ;;
esac
"""
_NODE = {
    "metadata": {"name": "node"},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "3860m", "memory": "8Gi"}},
}


class Tools:
    """The commands in the places of kind, k3d and minikube."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def calls(self) -> list[str]:
        """The command lines so far."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def kubeconfigs(self) -> set[str]:
        """The values of KUBECONFIG that they had."""
        return set((self.directory / "kubeconfigs").read_text().splitlines())

    def set(self, what: str, *, on: bool = True) -> None:
        """Let all commands from now on fail, or hang."""
        (self.directory / what).touch() if on else (self.directory / what).unlink()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, document = 403, {"kind": "Status", "reason": "Forbidden", "message": "this server is not a cluster"}
        if self.path.partition("?")[0] == "/api/v1/nodes":
            status, document = 200, {"kind": "NodeList", "metadata": {}, "items": [_NODE]}
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="session")
def stub_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a server that has a ready node, and refuses everything else: attaching it fails."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stub", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "stub", "user": {"token": "stub-token"}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }
    path = tmp_path_factory.mktemp("stub") / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    yield path
    server.shutdown()
    server.server_close()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub_kubeconfig: Path) -> Tools:
    """The commands kind, k3d and minikube on the PATH; their clusters are the server of `stub_kubeconfig`."""
    directory = tmp_path / "tools"
    directory.mkdir()
    (directory / "kubeconfig").write_bytes(stub_kubeconfig.read_bytes())
    for name in ("kind", "k3d", "minikube"):
        path = directory / name
        path.write_text(_TOOL)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_TOOLS", str(directory))
    return Tools(directory)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(f"providers-{secrets.token_hex(4)}", path=tmp_path / "workspace")
