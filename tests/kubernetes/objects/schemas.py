"""The schemas of Kubernetes releases, from the package kubernetes-validate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate

_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
RELEASES = sorted(
    {path.name.removeprefix("v").partition("-")[0] for path in _SCHEMAS.iterdir() if path.is_dir()},
    key=lambda release: [int(part) for part in release.split(".")],
)
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]


def check(manifest: Mapping[str, Any], release: str = NEWEST) -> None:
    """Fail if a manifest breaks the schema of a release, or has a field that the release does not know."""
    kubernetes_validate.validate(dict(manifest), release, strict=True)
