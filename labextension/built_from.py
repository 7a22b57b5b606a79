"""Tells whether the extension of JupyterLab in `prebuilt/` was built from the sources beside it; needs no Node.

The built extension is kept with the sources so that an installation needs Python alone. Run with ``--write`` after a
build, which `make labextension` does; without, it ends with 1 when the sources have changed since.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "prebuilt" / "built-from.txt"


def digest() -> str:
    """Return the SHA-256 of everything that decides what a build makes."""
    found = hashlib.sha256()
    for path in [*(HERE / name for name in ("package.json", "package-lock.json", "tsconfig.json")), *sources()]:
        found.update(f"{path.relative_to(HERE).as_posix()}\n".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def sources() -> list[Path]:
    """Return the sources, sorted."""
    return sorted(path for place in ("src", "schema", "style") for path in (HERE / place).rglob("*.*"))


def is_current() -> bool:
    """Whether the last build was made from what is there now."""
    return RECORD.is_file() and RECORD.read_text().strip() == digest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        RECORD.write_text(f"{digest()}\n")
    elif not is_current():
        sys.exit("labextension/prebuilt was built from other sources: run make labextension, and keep what it builds")
