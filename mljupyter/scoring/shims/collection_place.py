"""Directory of collected data: workspace/service/model/version (Azure ML v1: model data collection)."""

# ruff: noqa: PTH118, PTH123, PTH208
# pathlib takes 3 ms to import, and every replica that collects would pay them.
from __future__ import annotations

import json
import os
import re
import time
from typing import Any, NamedTuple

NO_WORKSPACE = "default/default/default"
_UNSAFE = re.compile(r"[^\w.@+=-]+")


class Place(NamedTuple):
    """The owner of a row; `workspace` is ``subscription/resource group/workspace``."""

    workspace: str
    service: str
    model: str
    version: str

    @classmethod
    def unknown(cls) -> Place:
        """Return the place of a collector that only prints."""
        return cls(NO_WORKSPACE, "default", "default", "default")

    def parts(self, designation: str, date: time.struct_time, by_hour: bool) -> list[str]:
        """Return the directories below the storage for rows of a day, or of an hour."""
        names = [*self.workspace.split("/"), self.service, self.model, self.version, designation]
        day = [f"{date.tm_year:04}", f"{date.tm_mon:02}", f"{date.tm_mday:02}", *([f"{date.tm_hour:02}"] * by_hour)]
        return ["modeldata", *(_safe(name) for name in names), *day]


def find(model: str, version: str, workspace: str, service: str) -> Place:
    """Return the place of a model; default values are replaced by those of the replica."""
    known = _config_map()
    if version == "default":
        version = _newest(known.get("modelsInfo", {}).get(model) or _versions_on_disk(model))
    if workspace == NO_WORKSPACE:
        account = known.get("accountContext", {})
        name = account.get("accountName") or account.get("workspaceId") or os.environ.get("WORKSPACE_NAME")
        workspace = "/".join(
            str(part or "default") for part in (account.get("subscriptionId"), account.get("resourceGroupName"), name)
        )
    if service == "default":
        service = os.environ.get("SERVICE_NAME") or service
    return Place(workspace.lower(), service, model, version)


def _config_map() -> dict[str, Any]:
    try:
        with open(os.path.join(os.environ.get("AML_APP_ROOT", "."), "model_config_map.json"), "rb") as file:
            known = json.load(file)
    except (OSError, RecursionError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _versions_on_disk(model: str) -> list[str]:
    try:
        return os.listdir(os.path.join(os.environ.get("AML_APP_ROOT", "."), "azureml-models", model))
    except OSError:
        return []


def _newest(versions: Any) -> str:
    numbers = [int(version) for version in versions if str(version).isdecimal()]
    return str(max(numbers)) if numbers else "default"


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).strip(".") or "_"
