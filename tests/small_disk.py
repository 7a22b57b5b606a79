"""A small disk for one process and its children, without root rights: a tmpfs in a user namespace of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path


class NoSmallDiskError(Exception):
    """There is no user namespace here, and so no disk of one's own."""


def small_disk(directory: Path, size: str) -> tuple[str, ...]:
    """Return a command prefix that mounts a disk of `size` on `directory`, for one process and its children alone.

    Raises:
        NoSmallDiskError: where that is not allowed, with the way to allow it.

    """
    mount = f'mount -t tmpfs -o size={size},mode=700 none "$0" && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(directory))
    try:
        probe = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        reason = "there is no unshare"
    else:
        if probe.returncode == 0:
            return prefix
        reason = probe.stderr.strip()
    raise NoSmallDiskError(
        f"needs a small disk in a user namespace ({reason}): sudo sysctl kernel.unprivileged_userns_clone=1"
    )
