"""The Python version of a base image on the Docker engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mljupyter.build.images.docker.engine import LABEL_RUN, translated

if TYPE_CHECKING:
    import docker

_RELEASE = re.compile(r"(3)\.([1-9]?[0-9])(?![0-9])")
_ANSWER = re.compile(rb"(?P<minor>[1-9]?[0-9]) (?P<musl>[01])\s*")
_ASK = 'import glob, sys; print(sys.version_info.minor, int(bool(glob.glob("/lib/ld-musl-*"))))'


@dataclass(frozen=True, slots=True)
class PythonInside:
    """The minor version of an image's Python 3, and whether its C library is musl."""

    minor: int
    musl: bool


def python_in(client: docker.DockerClient, image: str, version: str | None) -> PythonInside | None:
    """Return the Python that creates the environment in an image; None when it is unknown.

    Parameters:
        client: a client of the engine that has the image.
        image: the base image.
        version: the requested version, such as ``3.11``. If the image lacks it, ``python3`` counts.

    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    with translated():
        found = client.images.get(image)
    variables = dict(item.partition("=")[::2] for item in found.attrs["Config"].get("Env") or [])
    # Python's official images set this variable; in others it may be anything.
    release = match.groups() if (match := _RELEASE.match(variables.get("PYTHON_VERSION", ""))) else ()
    names = " ".join([image, *found.tags])
    if release and version in (None, ".".join(release)) and "alpine" not in names:
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
        answer = _ANSWER.fullmatch(output)
        return PythonInside(int(answer["minor"]), answer["musl"] == b"1") if answer else None
    except (DockerException, RequestException):
        return None
