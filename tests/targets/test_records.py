"""Records of compute targets: one store for attached, created and mapped ones."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mljupyter.targets.kubernetes.attached import AttachedCluster, attached_clusters, forget, remember
from mljupyter.targets.kubernetes.cluster import Access
from mljupyter.targets.mapped import record as mapped
from mljupyter.targets.mapped.record import Mapped, mapped_targets


def test_a_record_is_read_as_it_was_written_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    team = AttachedCluster("team", "AKS", None, None, "ml", "id", endpoint_namespaces=("one", "two"))
    remember(tmp_path, team)
    remember(tmp_path, AttachedCluster("other", "Kubernetes", "~/config", "kind", "ml", "id-2"))
    assert [one.name for one in attached_clusters(tmp_path)] == ["other", "team"]
    assert attached_clusters(tmp_path)[1] == team
    assert attached_clusters(tmp_path)[0].access == Access("~/config", "kind")
    file = tmp_path / "clusters" / "team.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    forget(tmp_path, "team")
    forget(tmp_path, "team")
    assert [one.name for one in attached_clusters(tmp_path)] == ["other"]


def test_a_record_of_another_release_is_read(tmp_path: Path) -> None:
    remember(tmp_path, AttachedCluster("team", "AKS", None, None, "ml", "id"))
    file = tmp_path / "clusters" / "team.json"
    document = json.loads(file.read_text())
    del document["subnet"]
    file.write_text(json.dumps({**document, "endpoint_namespaces": None, "of_a_newer_release": 1}))
    assert attached_clusters(tmp_path) == [AttachedCluster("team", "AKS", None, None, "ml", "id")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"\xff",
        b'{"name": "damaged"}',
        b'{"name": "another", "kind": "AKS", "place": "local"}',
        b'{"name": "damaged", "kind": "AKS", "place": 1}',
    ],
)
def test_a_file_that_is_no_record_hides_no_other(tmp_path: Path, content: bytes) -> None:
    mapped.remember(tmp_path, Mapped("my-aks", "AKS", "local", {"vm_size": "D3"}))
    (tmp_path / "mapped" / "damaged.json").write_bytes(content)
    assert mapped_targets(tmp_path) == [Mapped("my-aks", "AKS", "local", {"vm_size": "D3"})]
