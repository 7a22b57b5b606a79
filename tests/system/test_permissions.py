"""What docs/security.md says of files and their modes, compared with a workspace that serves."""

from __future__ import annotations

import re
import stat
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from mljupyter.spec import Authentication, RouterSpec, RouterTls
from mljupyter.telemetry.export.destination import Destination
from tests.system.conftest import Machine
from tests.telemetry.receiver import collector
from tests.waiting import wait_until

pytestmark = pytest.mark.system
DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"


def documented() -> list[tuple[str, int]]:
    """Return patterns and modes, the more exact patterns first."""
    rows = re.findall(r"^\| `([^`]+)` \| (0[0-7]{3}) \|", DOCUMENT.read_text(), re.MULTILINE)
    return sorted(((pattern, int(mode, 8)) for pattern, mode in rows), key=lambda row: row[0].count("*"))


def expected(path: str) -> int | None:
    return next((mode for pattern, mode in documented() if fnmatch(path, pattern.replace("**", "*"))), None)


def test_a_live_workspace_has_the_modes_that_are_documented(machine: Machine) -> None:
    machine.healthy(machine.spec("keyed", authentication=Authentication.KEY))
    machine.healthy(machine.spec("tokens", authentication=Authentication.TOKEN))
    machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="team")))
    machine.client.token("tokens")
    control = machine.directory / "control"
    with collector() as kept:
        Destination(otlp_endpoint=kept.url).write(control)
        record = machine.healthy(machine.spec("recorded", app_insights_enabled=True))
        httpx.post(str(record.status.scoring_uri), verify=False)
        wait_until(lambda: list(control.glob("telemetry-*.json")), "records are sent")
    sockets = (machine.directory / "control" / "run").resolve()
    found = {str(path.relative_to(machine.directory)): path for path in machine.directory.rglob("*")}
    found = {name: path for name, path in found.items() if not name.startswith("scripts")}  # made by the test
    found |= {f"run/{path.name}": path for path in sockets.iterdir()} | {".": machine.directory, "run/": sockets}
    used = set()
    for name, path in found.items():
        try:
            status = path.lstat()
        except FileNotFoundError:  # the draft of a file that the controller has written meanwhile
            continue
        mode, wanted = stat.S_IMODE(status.st_mode), expected(name)
        if stat.S_ISDIR(status.st_mode) and name not in (".", "control", "run/"):
            continue  # behind a directory that nobody else may enter
        assert wanted is not None, f"{name} is not documented"
        assert oct(mode) == oct(wanted), name
        used |= {pattern for pattern, _ in documented() if fnmatch(name, pattern.replace("**", "*"))}
    not_found = {pattern for pattern, _ in documented()} - used
    made_by_the_sdk = {"workspace.json", "workspace.db*", "profiles/*", "usage.lock", "keyvault/keyvault.json", "runs"}
    # On errors, for engines on other machines, for containers, for a user without a home directory.
    made_elsewhere = {"control/telemetry.log*", "run/*.ssh", "control/replica-key", "control/ports/*.lock"}
    for_clusters = {"clusters/*.json", "clusters/*.pem"}
    assert not_found <= made_by_the_sdk | made_elsewhere | for_clusters


def test_every_directory_on_the_way_is_closed_to_others(machine: Machine) -> None:
    machine.healthy(machine.spec())
    for directory in (machine.directory, machine.directory / "control", (machine.directory / "control/run").resolve()):
        assert directory.stat().st_mode & 0o077 == 0
    for name in ("replicas", "revisions", "router", "tls"):
        assert (machine.directory / "control" / name).stat().st_mode & 0o077 == 0
