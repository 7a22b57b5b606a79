"""Run a piece of the soak and append its records to a file: ``python -m tests.soak --hours 8`` (make soak HOURS=8).

The exit status is 0 when all holds, 1 otherwise. Ctrl-C ends the piece early; its records are complete.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.small_disk import NoSmallDiskError, small_disk
from tests.soak.outcome import unexplained
from tests.soak.piece import Piece, appended, stopped_by_signals

RESULTS = Path("build/soak.jsonl")
DISK = Path("build/soak-disk")
DISK_SIZE = "128m"
_SHOWN_FAILURES = 20
_ON_DISK = "MLJUPYTER_SOAK_ON_DISK"


def main() -> int:
    """Run a piece; where it can be, on a small disk of its own, in which case this program is replaced by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, default=None, help="length of the piece; 8 without --minutes")
    length.add_argument("--minutes", type=float, default=None, help="the same")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file that records are appended to")
    parser.add_argument("--seed", type=int, default=None, help="of times, victims and requests")
    given = parser.parse_args()
    seconds = given.minutes * 60 if given.minutes is not None else 3600 * (8 if given.hours is None else given.hours)
    if not 60 <= seconds <= 1000 * 3600:
        parser.error(f"a piece takes a minute to 1000 hours, not {seconds:g} s: --hours 8, --minutes 10")
    possible: bool | str = _ON_DISK in os.environ
    if not possible:
        DISK.mkdir(parents=True, exist_ok=True)
        try:
            command = [*small_disk(DISK.resolve(), DISK_SIZE), sys.executable, "-m", "tests.soak", *sys.argv[1:]]
        except NoSmallDiskError as error:
            possible = str(error)
        else:
            os.execvpe(command[0], command, {**os.environ, _ON_DISK: "1"})
    with tempfile.TemporaryDirectory(dir=DISK if possible is True else None, prefix="soak-") as directory:
        return run(Path(directory).resolve(), seconds, given, possible)


def run(directory: Path, seconds: float, given: argparse.Namespace, possible: bool | str) -> int:
    """Run a piece in a directory; print what does not hold, and return the exit status."""
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    piece = Piece(directory, seconds, seed, appended(given.results, name), possible)
    print(f"soak {name}: {seconds / 60:g} minutes, seed {seed}, records in {given.results}", flush=True)
    with stopped_by_signals(piece):
        problems = piece.run()
    for line in [*problems, *unexplained(piece.records)[:_SHOWN_FAILURES]]:
        print(f"  {line}")
    print(f"soak {name}: {f'{len(problems)} problems' if problems else 'all holds'}", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
