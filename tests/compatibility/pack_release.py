"""Pack the modules of release 788ba90 that its SDK and its control plane need: ``release-788ba90.tar.xz``.

    python tests/compatibility/pack_release.py tests/compatibility/release-788ba90.tar.xz

It needs a clone with that commit. `test_upgrade.py` uses the archive, since a clone need not have the whole history.
"""

import io
import lzma
import pathlib
import subprocess
import sys
import tarfile

COMMIT = "788ba90"
NOT_KEPT = {"cli", "frontend", "magics", "widgets"}


def pack(target: pathlib.Path) -> None:
    """Write the archive, the same bytes each time."""
    given = subprocess.run(["git", "archive", COMMIT, "mljupyter"], check=True, capture_output=True).stdout
    with (
        tarfile.open(fileobj=io.BytesIO(given)) as whole,
        lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as packed,
    ):
        for name in sorted(name for name in whole.getnames() if name.endswith(".py")):
            if name.split("/")[1] not in NOT_KEPT:
                entry = tarfile.TarInfo(name)
                content = whole.extractfile(name)
                assert content is not None
                entry.size, entry.mode = whole.getmember(name).size, 0o644
                packed.addfile(entry, content)


if __name__ == "__main__":
    pack(pathlib.Path(sys.argv[1]))
