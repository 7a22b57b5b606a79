"""A router's admin interface over the files in a directory: it follows each file as soon as it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpcore


class FakeEnvoy:
    """What `FileWriter` asks of `LocalHttp`.

    Attributes:
        refuses: names of files that it does not accept.
        asleep: whether it follows nothing; it answers all the same.
        away: whether it does not answer.
        looks: called at each question, after the files have been followed.
        followed: names of files in the order in which a new version of them was seen.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._in_force: dict[str, dict[str, Any]] = {}
        self._refused: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.asleep = False
        self.away = False
        self.looks: list[Callable[[], None]] = []
        self.followed: list[str] = []

    def document(self, name: str) -> dict[str, Any]:
        """Return the file that is in force."""
        return self._in_force.get(name, {"resources": []})

    def clusters(self) -> set[str]:
        """Return the names of the clusters in force."""
        return {item["name"] for item in self.document("cds.json")["resources"]}

    def routed(self, endpoint: str) -> set[str]:
        """Return the names of an endpoint's clusters that routes in force lead to."""
        routes = [json.dumps(document) for name, document in self._in_force.items() if name.startswith("rds-")]
        return {
            name for text in routes for name in re.findall(rf'"(?:name|cluster)": "({endpoint}\.[a-z0-9-]+)"', text)
        }

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """Answer a question for statistics."""
        if self.away:
            raise httpcore.ConnectError("nobody listens")
        if not self.asleep:
            self._follow()
        for look in self.looks:
            look()
        if query["type"] == "Counters":
            found: dict[str, Any] = {"listener_manager.lds.update_rejected": len(self._refused)}
        else:
            found = {_statistic(name): document["version_info"] for name, document in self._in_force.items()}
        return 200, json.dumps({"stats": [{"name": name, "value": value} for name, value in found.items()]}).encode()

    def _follow(self) -> None:
        for path in sorted(self._directory.glob("*.json")):
            document = json.loads(path.read_bytes())
            if document == self._in_force.get(path.name):
                continue
            if path.name in self.refuses:
                refused = (path.name, document["version_info"])
                if refused not in self._refused:
                    self._refused.append(refused)
            else:
                self._in_force[path.name] = document
                self.followed.append(path.name)
        for name in [name for name in self._in_force if not (self._directory / name).exists()]:
            del self._in_force[name]


def _statistic(file: str) -> str:
    kind, _, name = file.removesuffix(".json").partition("-")
    return {
        "lds": "listener_manager.lds.version_text",
        "cds": "cluster_manager.cds.version_text",
        "eds": f"cluster.{name}.version_text",
        "rds": f"http.{name}.rds.{name}.version_text",
        "sds": f"sds.{name}.version_text",
        "ecds": f"extension_config_discovery.http_filter.{name}.version_text",
    }[kind]
