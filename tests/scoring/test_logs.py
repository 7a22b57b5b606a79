"""The script's output, line by line in the log, bounded in size and memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.scoring.logs.capture import LogCapture
from tests.scoring.conftest import Replica
from tests.waiting import promised, wait_until

Serve = Callable[..., Replica]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [DIWEC] \[\d+\] [\w.]+ \| .*")

TALKATIVE = """
import os, sys
print("at import")
def init():
    print("in init")
def run(data):
    print("printed", data)
    print("to stderr", file=sys.stderr)
    os.write(1, b"from the descriptor\\n")
    os.system("echo from a child")
    return 1
"""

FLOOD = """
import threading
def flood():
    while True:
        print('y' * 200)
def init():
    threading.Thread(target=flood, daemon=True).start()
def run(data):
    return data
"""

LAST_WORDS = """
import os
def init(): pass
def run(data):
    os.write(1, b'z' * 200_000)
    os.write(1, b'the last words')
    os._exit(1)
"""


def test_output_is_captured_at_descriptor_level_with_time_pid_and_stream(serve: Serve) -> None:
    replica = serve(TALKATIVE)
    worker = replica.worker_pid()
    replica.score("å")
    log = replica.wait_log("from a child")
    for text in ("at import", "in init", "printed å", "from the descriptor", "from a child"):
        assert f" I [{worker}] azmlinfsrv.print | {text}\n" in log
    replica.wait_log(f" W [{worker}] azmlinfsrv.stderr | to stderr\n")
    assert all(LINE.fullmatch(line) for line in replica.log().splitlines())
    assert replica.log_file.stat().st_mode & 0o777 == 0o600


def test_the_log_rotates_by_size_and_keeps_so_many_files(serve: Serve) -> None:
    script = "def init(): pass\ndef run(data):\n    for n in range(2000): print(n, 'x' * 80)\n"
    replica = serve(script, "--log-max-bytes", "40000", "--log-backups", "2")
    replica.score("")
    replica.wait_log("1999 xxx")
    files = sorted(path.name for path in replica.directory.iterdir() if path.name.startswith("log"))
    assert files == ["log", "log.1", "log.2"]
    for name in files:
        path = replica.directory / name
        assert path.stat().st_size <= 40_000 + 40_000
        assert path.stat().st_mode & 0o777 == 0o600
        assert all(LINE.fullmatch(line) for line in path.read_text().splitlines())


@pytest.mark.alone  # a promise of 250 ms
def test_a_flood_of_output_blocks_nothing_and_grows_nothing(serve: Serve) -> None:
    replica = serve(FLOOD, "--log-max-bytes", "1000000", "--log-backups", "1")

    def resident() -> int:
        status = Path(f"/proc/{replica.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    before, slowest = resident(), 0.0
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        start = time.monotonic()
        assert replica.health() == 200
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < promised(0.25)
    assert resident() - before < 10_000
    assert replica.score("x").json() == "x"
    assert sum(path.stat().st_size for path in replica.directory.glob("log*")) < 2_200_000


def test_a_line_without_end_is_cut_and_a_last_line_without_newline_kept(serve: Serve) -> None:
    replica = serve(LAST_WORDS)
    assert replica.score("").status_code == 502
    log = replica.wait_log("the last words")
    assert log.count("z") >= 200_000
    assert max(map(len, log.splitlines())) < 110_000


def test_a_full_disk_costs_log_lines_and_no_request(directory: Path, launch: Serve) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (directory / "log").symlink_to("/dev/full")
    replica = launch("def init(): pass\ndef run(data):\n    for _ in range(2000): print('x' * 100)\n")
    wait_until(lambda: replica.health() == 200, what="readiness")
    assert [replica.score("x").status_code for _ in range(5)] == [200] * 5


def test_lines_that_could_not_be_written_are_counted() -> None:
    class FullForAWhile:
        refusals = 3
        written = b""

        def write(self, data: bytes) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError(28, "No space left on device")
            self.written += data

        def close(self) -> None:
            pass

    sink = FullForAWhile()
    log = LogCapture(sink, 20)
    log.start()
    for number in range(5):
        log.record("I", f"record {number}\nsecond line")
    log.close()
    lines = sink.written.decode().splitlines()
    assert lines[0].endswith("| 6 log lines could not be written and were dropped")
    assert [line.split(" | ")[1] for line in lines[1:]] == ["record 3", "second line", "record 4", "second line"]


def test_without_a_log_file_everything_goes_to_standard_output(directory: Path, launch: Serve) -> None:
    replica = launch("def init(): pass\ndef run(data):\n    print('hello')\n", "--log-file", "")
    wait_until(lambda: replica.health() == 200, what="readiness")
    replica.score("")
    replica.terminate()
    replica.wait_exit()
    assert replica.process.stdout is not None
    assert b"azmlinfsrv.print | hello" in replica.process.stdout.read()


def test_the_log_level_hides_prints_and_keeps_what_may_explain_a_crash(serve: Serve) -> None:
    replica = serve(TALKATIVE, environment={"AZUREML_LOG_LEVEL": "ERROR"})
    replica.score("x")
    log = replica.wait_log("to stderr")
    assert "printed" not in log
    assert "is ready" not in log
