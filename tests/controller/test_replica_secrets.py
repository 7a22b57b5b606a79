"""The key that the secrets of a workspace's replicas follow from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.controller.endpoints.replica_secrets import workspace_key


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "replica-key"
    key = workspace_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert workspace_key(path) == key
    assert workspace_key(tmp_path / "another") != key


@pytest.mark.parametrize("damaged", [b"", b"0123", b"\xff" * 64, b"g" * 64])
def test_a_damaged_one_is_made_again(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "replica-key"
    path.write_bytes(damaged)
    assert workspace_key(path) == workspace_key(path)
    assert len(workspace_key(path)) == 32
