"""Which Python a base image of the Docker engine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mljupyter.build.images.docker_engine import LABEL_RUN, told

if TYPE_CHECKING:
    import docker

_ASK = 'import glob, sys; print(sys.version_info.minor, int(bool(glob.glob("/lib/ld-musl-*"))))'


@dataclass(frozen=True, slots=True)
class PythonInside:
    """The minor version of an image's Python 3, and whether its C library is musl."""

    minor: int
    musl: bool


def python_in(client: docker.DockerClient, image: str, version: str | None) -> PythonInside | None:
    """Return the Python that an environment in an image is made with; None where that cannot be told.

    Parameters:
        client: of the engine, which has the image.
        image: the base image.
        version: the one wanted, such as ``3.11``; where the image lacks it, that of ``python3`` counts.

    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    with told():
        found = client.images.get(image)
    variables = dict(item.partition("=")[::2] for item in found.attrs["Config"].get("Env") or [])
    release = variables.get("PYTHON_VERSION", "").split(".")  # Python's own images have it
    names = " ".join([image, *found.tags])
    if release[:1] == ["3"] and version in (None, ".".join(release[:2])) and "alpine" not in names:
        return PythonInside(int(release[1]), musl=False)
    python = f'"$(command -v python{version} || command -v python3)"' if version else "python3"
    try:
        output = client.containers.run(
            image,
            ["-c", f"exec {python} -I -c '{_ASK}'"],
            entrypoint="sh",
            remove=True,
            network_disabled=True,
            read_only=True,
            labels={LABEL_RUN: "python"},
        )
        minor, musl = output.split()
        return PythonInside(int(minor), bool(int(musl)))
    except (DockerException, RequestException, ValueError):
        return None
