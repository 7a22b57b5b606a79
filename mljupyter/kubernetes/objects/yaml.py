"""Manifests as YAML text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out each time: aliases are hard to read, and some tools do not know them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return that no part is an alias."""
        return True


def to_yaml(manifests: Iterable[Mapping[str, Any]]) -> str:
    """Return manifests as documents of one YAML text."""
    documents = [dict(manifest) for manifest in manifests]
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=_WIDTH, explicit_start=True)
    return text
