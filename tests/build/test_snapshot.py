from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mljupyter.build.project.snapshot import SnapshotError, SourceNotFoundError, single_file, snapshot
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ArtifactError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "project"
    source.mkdir()
    return source


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def make(source: Path, *paths: str) -> None:
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)


def stored(source: Path, store: ArtifactStore) -> set[str]:
    artifact = snapshot(source, store)
    assert (artifact.kind, artifact.name) == ("directory", source.name)
    target = store.fetch(artifact.digest, source.parent / f"target-{artifact.digest[-8:]}")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    shutil.rmtree(target)
    return found


def test_everything_is_included_but_what_is_never_part_of_a_source(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py", "docs/a.md", "outputs/x", ".env-example", "sub/deep/data.json")
    for name in (".git", ".azureml", ".ipynb_checkpoints", "__pycache__"):
        make(source, f"{name}/x", f"sub/{name}/x")
    assert stored(source, store) == {"score.py", "docs/a.md", "outputs/x", ".env-example", "sub/deep/data.json"}


def test_what_is_never_part_cannot_be_brought_back(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py", ".git/config", "sub/__pycache__/a.pyc")
    (source / ".amlignore").write_text("!.git\n!.git/config\n!__pycache__/\n")
    assert stored(source, store) == {"score.py", ".amlignore"}


def test_amlignore_wins_over_gitignore(source: Path, store: ArtifactStore) -> None:
    make(source, "a.log", "b.csv")
    (source / ".gitignore").write_text("*.log\n")
    assert stored(source, store) == {".gitignore", "b.csv"}
    (source / ".amlignore").write_text("*.csv\n")
    assert stored(source, store) == {".amlignore", ".gitignore", "a.log"}
    (source / ".amlignore").write_text("")
    assert stored(source, store) == {".amlignore", ".gitignore", "a.log", "b.csv"}


def test_only_the_ignore_file_at_the_root_is_read(source: Path, store: ArtifactStore) -> None:
    make(source, "sub/a.log")
    (source / "sub" / ".amlignore").write_text("*\n")
    (source / "sub" / ".gitignore").write_text("*\n")
    assert stored(source, store) == {"sub/a.log", "sub/.amlignore", "sub/.gitignore"}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git to compare with: install git")
@pytest.mark.parametrize(
    "lines",
    [
        ["*.log"],
        ["data/"],
        ["/data", "!data/keep.txt"],
        ["data/*", "!data/keep.txt"],
        ["data/**", "!data/keep.txt"],
        ["data/**", "!data/sub/", "!data/sub/**"],
        ["data/**/"],
        ["*", "!*/", "!*.py"],
        ["*", "!score.py", "!data", "!data/keep.txt"],
        ["/*", "!/data", "/data/*", "!/data/sub"],
        ["**/sub/x.csv"],
        ["data/**/x.csv"],
        ["keep", "!/*"],
        ["!*", "data"],
        ["x.[ct]sv", "[!s]*.py"],
        ["# comment", "", "\\#odd", "\\!odd", "sp ace.txt", "keep.txt   "],
        ["trailing\\ "],
        ["*.csv\r", "sub/\r"],
        ["\\", "!", "/", "[", "a[z-a]", "data/sub"],
        ["\ufeff*.log", "*.py"],
        ["Data"],
        ["sub"],
        ["data/sub/"],
    ],
    ids=" ".join,
)
def test_patterns_mean_what_they_mean_to_git(source: Path, store: ArtifactStore, lines: list[str]) -> None:
    make(source, "score.py", "util.py", "a.log", "sub", "keep", "#odd", "!odd", "sp ace.txt", "trailing ")
    make(source, "data/keep.txt", "data/x.csv", "data/b.log", "data/sub/x.csv", "data/sub/y.tsv", "data/sub/deep/x.csv")
    make(source, "pkg/sub/x.csv", "pkg/data", "pkg/keep/z.py", "x.csv", "x.tsv")
    (source / ".gitignore").write_bytes("\n".join(lines).encode())
    subprocess.run(["git", "init", "--quiet", str(source)], check=True)
    listing = ["git", "-C", str(source), "ls-files", "-z", "--others", "--exclude-standard"]
    expected = subprocess.run(listing, capture_output=True, check=True, text=True).stdout
    assert stored(source, store) == set(expected.split("\0")) - {""}


def test_an_ignored_directory_is_not_even_read(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py")
    (source / "data").mkdir()
    (source / "data" / "outside").symlink_to("/etc")
    (source / "mounted").symlink_to("/usr")
    (source / ".amlignore").write_text("data/\nmounted/\n")
    assert stored(source, store) == {"score.py", ".amlignore"}


def test_a_link_that_leads_out_is_refused(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py")
    (source / "hosts").symlink_to("/etc/hosts")
    with pytest.raises(ArtifactError, match="outside of"):
        snapshot(source, store)


def test_too_large_a_source_names_the_largest_files_and_the_ignore_file(source: Path, store: ArtifactStore) -> None:
    for number in range(1, 8):
        with (source / f"part{number}.bin").open("wb") as file:
            file.truncate(number * 11 * 1024 * 1024)
    with pytest.raises(SnapshotError) as caught:
        snapshot(source, store)
    text = str(caught.value)
    assert "308.0 MB" in text
    assert "300.0 MB" in text
    assert text.index("part7.bin (77.0 MB)") < text.index("part3.bin (33.0 MB)")
    assert "part2.bin" not in text
    assert str(source / ".amlignore") in text
    assert len(text.splitlines()) <= 5
    assert store.collect_garbage(set()) == 0
    (source / ".gitignore").write_text("part1.bin\npart2.bin\n")
    assert snapshot(source, store).size == 275 * 1024 * 1024 + 20


def test_the_error_names_the_ignore_file_in_use(
    source: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AML_SNAPSHOT_NO_FILE_LIMIT", raising=False)
    (source / ".gitignore").write_text("*.log\n")
    many(source, 2000)
    with pytest.raises(SnapshotError, match=r"2,001 files") as caught:
        snapshot(source, store)
    assert str(source / ".gitignore") in str(caught.value)
    assert "AML_SNAPSHOT_NO_FILE_LIMIT" in str(caught.value)


def test_two_thousand_files_fit_and_the_variable_lifts_the_count(
    source: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AML_SNAPSHOT_NO_FILE_LIMIT", "0")
    many(source, 2000)
    snapshot(source, store)
    (source / "one more").write_text("")
    with pytest.raises(SnapshotError, match="2,001"):
        snapshot(source, store)
    monkeypatch.setenv("AML_SNAPSHOT_NO_FILE_LIMIT", "True")
    assert len(stored(source, store)) == 2001


def test_the_same_source_has_the_same_digest(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py", "sub/a")
    first = snapshot(source, store)
    make(source, "__pycache__/score.pyc")
    assert snapshot(source, store) == first
    (source / "score.py").write_text("changed")
    assert snapshot(source, store).digest != first.digest


def test_a_lone_script_is_a_file(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py", "other.py")
    artifact = single_file(source / "score.py", store)
    assert (artifact.kind, artifact.name, artifact.size) == ("file", "score.py", 8)


def test_what_does_not_exist_is_a_file_not_found_error(source: Path, store: ArtifactStore) -> None:
    make(source, "score.py")
    for call in (
        lambda: snapshot(source / "gone", store),
        lambda: snapshot(source / "score.py", store),
        lambda: single_file(source / "gone.py", store),
        lambda: single_file(source, store),
    ):
        with pytest.raises(SourceNotFoundError) as caught:
            call()
        assert isinstance(caught.value, FileNotFoundError)


def many(source: Path, number: int) -> None:
    for index in range(number):
        (source / f"f{index}").write_text("")
