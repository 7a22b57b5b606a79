"""Tells whether the built files in `mljupyter/widgets/static` were built from the sources beside it; needs no Node.

The built files are kept with the sources so that an installation needs Python alone. Run with ``--write`` after a
build, which `make widgets` does. Without it, the exit status is 1 when the sources or the built files have changed
since.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "mljupyter" / "widgets" / "static"
RECORD = HERE / "built-from.txt"


def digest() -> str:
    """Return the SHA-256 of the sources, of all that decides how they are built, and of the built files."""
    settings = [HERE / name for name in ("build.mjs", "package.json", "package-lock.json", "tsconfig.json")]
    sources = sorted(path for path in (HERE / "src").rglob("*") if path.is_file())
    built = sorted(BUILT.iterdir()) if BUILT.is_dir() else []
    found = hashlib.sha256()
    for path in [*settings, *sources, *built]:
        found.update(f"{path.relative_to(HERE.parent).as_posix()}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def is_current() -> bool:
    """Return whether nothing has changed since the last build."""
    return RECORD.is_file() and RECORD.read_text().strip() == digest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        RECORD.write_text(f"{digest()}\n")
    elif not is_current():
        sys.exit("mljupyter/widgets/static was built from other sources: run make widgets, and keep what it builds")
