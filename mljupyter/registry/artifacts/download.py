"""Copy content of the artifact store to a path of the user."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.registry.artifacts.store import ArtifactStore


def download(store: ArtifactStore, digest: str, target: Path) -> None:
    """Replace `target` by a copy of an artifact, atomically."""
    draft = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        store.fetch(digest, draft, writable=True)
        _put_in_place(draft, target)
    finally:
        _remove(draft)


def _put_in_place(draft: Path, target: Path) -> None:
    """Rename a draft to its target. An existing target is moved away first, and restored if the rename fails."""
    if not target.is_dir() or target.is_symlink():
        if draft.is_dir() and os.path.lexists(target):
            target.unlink()
        draft.rename(target)
        return
    former = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    target.rename(former)
    try:
        draft.rename(target)
    except BaseException:
        former.rename(target)
        raise
    shutil.rmtree(former)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
