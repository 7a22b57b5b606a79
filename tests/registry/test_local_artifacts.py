"""What holds for an artifact store in a directory: modes, links, killed writers, a full disk, bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ArtifactError
from tests.waiting import HANG_SECONDS

from .processes import on_small_disk, run_python, start_python


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore(root)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"weights")
    return path


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if not path.is_dir())


def test_directories_are_private_and_blobs_read_only(store: ArtifactStore, root: Path, model: Path) -> None:
    before = os.umask(0)
    try:
        store.put(model)
        store.put(model.parent, ignore=lambda path: path == "artifacts/")
    finally:
        os.umask(before)
    for path in [root, *root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o400), path


def test_the_same_content_is_stored_once(store: ArtifactStore, root: Path, model: Path) -> None:
    first = store.put(model)
    inode = files(root)[0].stat().st_ino
    model.with_name("other.pkl").write_bytes(model.read_bytes())
    second = store.put(model.with_name("other.pkl"))
    assert (first.digest, first.name, second.name) == (second.digest, "model.pkl", "other.pkl")
    assert [file.stat().st_ino for file in files(root)] == [inode]


def test_a_fetched_file_is_a_hard_link(store: ArtifactStore, root: Path, model: Path, tmp_path: Path) -> None:
    target = store.fetch(store.put(model).digest, tmp_path / "t")
    assert target.samefile(files(root)[0])


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system at /dev/shm")
def test_a_fetch_to_another_device_is_a_copy(store: ArtifactStore, model: Path, tmp_path: Path) -> None:
    target = Path("/dev/shm") / f"mljupyter-test-{os.getpid()}"
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is on the file system of the tests")
    try:
        assert store.fetch(store.put(model).digest, target).read_bytes() == b"weights"
        assert target.stat().st_nlink == 1
    finally:
        target.unlink(missing_ok=True)


def test_the_name_is_that_of_the_path_as_given(store: ArtifactStore, model: Path) -> None:
    link = model.with_name("newest.pkl")
    link.symlink_to(model)
    assert store.put(link).name == "newest.pkl"
    directory = model.parent / "models"
    directory.mkdir()
    assert store.put(directory / "..").name == model.parent.name


def test_damage_is_found_and_healed_by_storing_again(
    store: ArtifactStore, root: Path, model: Path, tmp_path: Path
) -> None:
    artifact = store.put(model)
    blob = files(root)[0]
    blob.chmod(0o600)
    blob.write_bytes(b"weig")
    with pytest.raises(ArtifactError, match="damaged"):
        store.fetch(artifact.digest, tmp_path / "t", size=artifact.size)
    assert not (tmp_path / "t").exists()
    store.put(model)
    assert store.fetch(artifact.digest, tmp_path / "t", size=artifact.size).read_bytes() == b"weights"


def test_changed_content_is_found_when_copied(store: ArtifactStore, root: Path, model: Path, tmp_path: Path) -> None:
    artifact = store.put(model)
    blob = files(root)[0]
    blob.chmod(0o600)
    blob.write_bytes(b"WEIGHTS")
    with pytest.raises(ArtifactError, match="damaged"):
        store.fetch(artifact.digest, tmp_path / "t", writable=True)
    assert not (tmp_path / "t").exists()


SLOW_PUT = """
    import sys
    from pathlib import Path
    from mljupyter.registry.artifacts.store import ArtifactStore
    store = ArtifactStore(sys.argv[1])
    def on_progress(done, total):
        if done >= int(sys.argv[3]):
            print("half", flush=True)
            sys.stdin.read()
    print(store.put(Path(sys.argv[2]), on_progress=on_progress).digest)
"""


def start_slow_put(root: Path, path: Path, stop_at: int) -> subprocess.Popen[str]:
    process = start_python(SLOW_PUT, root, path, stop_at)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    return process


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_writer_killed_half_way_leaves_nothing_that_looks_finished(root: Path, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / name).write_bytes(os.urandom(2 << 20))
    process = start_slow_put(
        root, source if kind == "directory" else source / "a", (3 if kind == "directory" else 1) << 20
    )
    assert process.poll() is None
    assert files(root / "staging")
    process.kill()
    assert process.wait(HANG_SECONDS) == -signal.SIGKILL
    assert files(root / "blobs") + files(root / "directories") == []
    store = ArtifactStore(root)
    assert files(root) == []
    assert store.put(source).size == 6 << 20


def test_a_live_writer_keeps_its_unfinished_work(root: Path, model: Path, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 << 20))
    process = start_slow_put(root, big, 1 << 20)
    store = ArtifactStore(root)
    store.put(model)
    assert process.poll() is None
    assert files(root / "staging")
    process.kill()
    process.wait()
    store.put(model)
    assert files(root / "staging") == []


def test_a_fetch_killed_half_way_leaves_no_target_and_the_next_clears_up(
    store: ArtifactStore, model: Path, tmp_path: Path
) -> None:
    artifact = store.put(model)
    target = tmp_path / "served" / "model"
    abandoned = tmp_path / "served" / f".model.{'0' * 32}.part"
    abandoned.mkdir(parents=True)
    (abandoned / "content").write_text("half")
    store.fetch(artifact.digest, target)
    assert list(target.parent.iterdir()) == [target]


def test_garbage_collection_waits_for_writers_and_sees_their_references(
    store: ArtifactStore, root: Path, model: Path
) -> None:
    references: set[str] = set()
    collected: list[int] = []
    collector = threading.Thread(target=lambda: collected.append(store.collect_garbage(lambda: references)))
    with store.hold():
        digest = store.put(model).digest
        collector.start()
        collector.join(0.2)
        assert collector.is_alive()
        references.add(digest)
    collector.join(HANG_SECONDS)
    assert collected == [0]
    assert store.exists(digest)


def test_garbage_collection_refuses_while_writers_stay_busy(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mljupyter.registry.artifacts.local_blobs.GARBAGE_LOCK_SECONDS", 0.05)
    with store.hold(), pytest.raises(ArtifactError, match="being written to"):
        store.collect_garbage(set())


def put_again(root: str, path: str, times: int) -> None:
    store = ArtifactStore(root)
    for _ in range(times):
        store.put(Path(path))


def test_writers_of_the_same_content_do_not_disturb_each_other(
    store: ArtifactStore, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / str(number)).write_bytes(os.urandom(1000))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=put_again, args=(str(root), str(source), 20)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(HANG_SECONDS)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(files(root)) == 6


def test_memory_stays_small_whatever_the_size(root: Path, tmp_path: Path) -> None:
    size = 300 << 20
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    code = """
        import resource, sys
        from pathlib import Path
        from mljupyter.registry.artifacts.store import ArtifactStore
        store = ArtifactStore(sys.argv[1])
        artifact = store.put(Path(sys.argv[2]))
        store.fetch(artifact.digest, Path(sys.argv[3]), writable=True)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    # The shell forks: a process that the tests replace by exec would start with their own peak as its peak.
    output = run_python(code, root, tmp_path / "sparse", tmp_path / "copy", prefix=("sh", "-c", '"$@"; exit', "sh"))
    peak_megabytes = int(output)
    assert (tmp_path / "copy").stat().st_size == size
    assert peak_megabytes < 60


FULL = """
    import sys
    from pathlib import Path
    from mljupyter.registry.artifacts.store import ArtifactStore
    from mljupyter.registry.errors import StorageFullError
    disk, source, fits = (Path(argument) for argument in sys.argv[1:])
    store = ArtifactStore(disk / "artifacts")
    try:
        store.put(source)
    except StorageFullError as error:
        print(error.needed, error.path == str(disk / "artifacts"))
        print(error)
    assert not [path for path in disk.rglob("*") if not path.is_dir()]
    print("stored", store.put(fits).size)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_full_disk_is_told_with_the_bytes_needed_and_leaves_nothing(model: Path, tmp_path: Path, kind: str) -> None:
    disk, source = tmp_path / "disk", tmp_path / "source"
    disk.mkdir()
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / name).write_bytes(os.urandom((2 if kind == "directory" else 5) << 20))
    path = source if kind == "directory" else source / "a"
    output = run_python(FULL, disk, path, model, prefix=on_small_disk(disk, "4m"))
    needed = (6 if kind == "directory" else 5) << 20
    assert output.splitlines()[0] == f"{needed} True"
    assert f"{needed:,} bytes" in output
    assert output.endswith("stored 7\n")


def test_a_size_limit_of_the_process_counts_as_full(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    code = """
        import resource, sys
        from pathlib import Path
        from mljupyter.registry.artifacts.store import ArtifactStore
        from mljupyter.registry.errors import StorageFullError
        store = ArtifactStore(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            store.put(Path(sys.argv[2]))
        except StorageFullError as error:
            print(error.needed)
    """
    assert run_python(code, root, tmp_path / "big") == f"{3 << 20}\n"
    assert files(root) == []


def test_a_full_disk_at_the_target_of_a_fetch_leaves_nothing_there(
    store: ArtifactStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(5 << 20))
    digest = store.put(tmp_path / "big").digest
    disk = tmp_path / "disk"
    disk.mkdir()
    code = """
        import sys
        from pathlib import Path
        from mljupyter.registry.artifacts.store import ArtifactStore
        from mljupyter.registry.errors import StorageFullError
        root, digest, disk = sys.argv[1:]
        try:
            ArtifactStore(root).fetch(digest, Path(disk) / "model.pkl")
        except StorageFullError as error:
            print(list(Path(disk).iterdir()), error)
    """
    output = run_python(code, root, digest, disk, prefix=on_small_disk(disk, "4m"))
    assert output.startswith("[] No space left in ")


def test_a_store_where_nothing_may_be_written_is_explained() -> None:
    with pytest.raises(ArtifactError, match="/proc/none"):
        ArtifactStore("/proc/none/artifacts")
