from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from pathlib import Path

from mljupyter.build.images.oci.layers import LayerEntry, tree_entries, write_layer


def make_tree(root: Path, names: list[str], time: int) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (time, time))
    (root / names[0]).chmod(0o640)
    return root


def test_a_layer_depends_on_nothing_but_its_content(tmp_path: Path) -> None:
    one = make_tree(tmp_path / "one", ["a", "sub/b", "sub/c"], 1_000_000)
    other = make_tree(tmp_path / "other", ["sub/c", "sub/b", "a"], 2_000_000)
    first = write_layer(tree_entries(one, "/opt/x"), tmp_path / "1.tar.gz", "test")
    second = write_layer(reversed(list(tree_entries(other, "/opt/x"))), tmp_path / "2.tar.gz", "test")
    assert (first.digest, first.diff_id, first.size) == (second.digest, second.diff_id, second.size)
    (other / "a").write_text("changed")
    assert write_layer(tree_entries(other, "/opt/x"), tmp_path / "3.tar.gz", "test").digest != first.digest


def test_digests_are_those_of_the_file_and_of_what_is_in_it(tmp_path: Path) -> None:
    layer = write_layer([LayerEntry("/a", b"text")], tmp_path / "layer", "test")
    content = (tmp_path / "layer").read_bytes()
    assert layer.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}"
    assert layer.size == len(content)


def test_links_modes_and_owners_are_kept_and_parents_added(tmp_path: Path) -> None:
    entries = [
        LayerEntry("/opt/env/bin/python", link="/usr/bin/python3"),
        LayerEntry("/opt/env/bin/run", b"#!", executable=True),
        LayerEntry("/var/app/score.py", b"", owner=10001),
    ]
    write_layer(entries, tmp_path / "layer", "test")
    with tarfile.open(tmp_path / "layer") as archive:
        members = {member.name: member for member in archive}
    assert list(members) == sorted(members)
    assert members["opt/env/bin"].isdir()
    assert members["opt/env/bin/python"].linkname == "/usr/bin/python3"
    assert (members["opt/env/bin/run"].mode, members["var/app/score.py"].mode) == (0o755, 0o644)
    assert (members["var/app/score.py"].uid, members["var/app/score.py"].gid) == (10001, 10001)
    assert {member.mtime for member in members.values()} == {0}
