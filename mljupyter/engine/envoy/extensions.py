"""What all builders of the router's configuration share: typed extensions, and files that are watched."""

from __future__ import annotations

from typing import Any

Resource = dict[str, Any]
TYPE = "type.googleapis.com/envoy."


def named(name: str, kind: str, **config: Any) -> Resource:
    """Return an extension by name, type and configuration."""
    return {"name": name, "typed_config": {"@type": TYPE + kind, **config}}


def watched_file(path: str) -> Resource:
    """Return a source of configuration: a file that counts anew each time one is renamed into its place."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}
