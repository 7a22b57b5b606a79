"""A Docker engine of a test's own, beside the shared one: it may be restarted, and it speaks TLS.

It has a data directory, a socket and a network bridge of its own and leaves the machine's packet filter alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until


@dataclass
class SecondEngine:
    """An engine that listens on a Unix socket, and with TLS on a port of the loopback."""

    directory: Path
    bridge: str = field(default_factory=lambda: f"mljt{os.getpid()}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.directory}/docker.sock"

    @property
    def certificates(self) -> Path:
        """What a client needs: ``ca.pem``, ``cert.pem`` and ``key.pem``."""
        return self.directory / "client"

    def prepare(self) -> None:
        """Make certificates, bridge and configuration."""
        import trustme

        for program in ("dockerd", "ip"):
            if shutil.which(program) is None or os.getuid():
                pytest.skip(f"an engine of one's own needs root and the program {program}")
        authority = trustme.CA()
        self.tls_address = f"tcp://127.0.0.1:{free_port()}"
        for place, certificate in (
            (self.directory / "server", authority.issue_cert("127.0.0.1")),
            (self.certificates, authority.issue_cert("somebody@example.com")),
        ):
            place.mkdir()
            authority.cert_pem.write_to_path(place / "ca.pem")
            certificate.cert_chain_pems[0].write_to_path(place / "cert.pem")
            certificate.private_key_pem.write_to_path(place / "key.pem")
        subnet = f"172.31.{100 + os.getpid() % 150}.1/24"
        for command in (
            ["link", "add", self.bridge, "type", "bridge"],
            ["addr", "add", subnet, "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
        ):
            subprocess.run(["ip", *command], check=True)
        (self.directory / "daemon.json").write_text(json.dumps(self._configuration()))

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--config-file", str(self.directory / "daemon.json")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, f"the second engine answers (see {self.directory}/log)")

    def stop(self) -> None:
        """End it as the system does; its containers end with it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(HANG_SECONDS)
            self.process = None

    def clean_up(self) -> None:
        if self.process is not None:
            client = self.client()
            for container in client.containers.list(all=True):
                container.remove(force=True)
            client.networks.prune()  # their bridges would outlive the engine
            client.close()
        self.stop()
        subprocess.run(["ip", "link", "del", self.bridge], check=False)
        shutil.rmtree(self.directory / "root", ignore_errors=True)

    def client(self) -> Any:
        import docker

        return docker.DockerClient(self.address)

    def take(self, image: str, name: str) -> None:
        """Load an image of the shared engine."""
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "--host", self.address, "load", "--quiet"], stdin=save.stdout, check=True, capture_output=True
        )
        assert save.wait() == 0
        subprocess.run(["docker", "--host", self.address, "tag", image, name], check=True)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(f"{self.directory}/docker.sock")
                client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return client.recv(12).endswith(b"200")
            except OSError:
                return False

    def _configuration(self) -> dict[str, Any]:
        from docker import from_env

        needed("MLJUPYTER_TEST_DOCKER")
        client = from_env()
        shared = client.info()
        client.close()
        standard = {"runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"}
        server = self.directory / "server"
        return {
            "runtimes": {
                name: {"path": one["path"]} for name, one in shared["Runtimes"].items() if name not in standard
            },
            "default-runtime": shared["DefaultRuntime"],
            "data-root": str(self.directory / "root"),
            "exec-root": str(self.directory / "exec"),
            "pidfile": str(self.directory / "pid"),
            "hosts": [self.address, self.tls_address],
            "tlsverify": True,
            "tlscacert": str(server / "ca.pem"),
            "tlscert": str(server / "cert.pem"),
            "tlskey": str(server / "key.pem"),
            "bridge": self.bridge,
            "iptables": False,
            "ip-masq": False,
            "ip-forward": False,
        }
