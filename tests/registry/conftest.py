from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(tmp_path / "workspace") as registry:
        yield registry


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"weights")
    return path
