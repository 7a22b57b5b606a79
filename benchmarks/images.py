"""How long images and environments take to build, cold and warm, next to plain Docker and other tools.

Needs the test bed's engine, base image and registry (variables TESTBED_*). Run: python -m benchmarks.images [NAME...]
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.image_peers import Bentoml, Mlflow
from benchmarks.serving.environments import UnavailableError
from mljupyter.build.environments.uv import uv_program

REQUIREMENTS = ("requests==2.32.3", "pyyaml==6.0.2", "roman==4.2")
SCRIPT = "import requests, roman, yaml\ndef init(): ...\ndef run(data): return roman.toRoman(7)\n"
CHANGED = SCRIPT.replace("(7)", "(8)")


@dataclass(frozen=True)
class Row:
    """Seconds of three builds, as text, and the size of what was built; `text` says why there are none."""

    name: str
    cold: str = "-"
    changed: str = "-"
    again: str = "-"
    size: str = "-"


def main() -> None:
    """Print the table."""
    base, registry = (os.environ.get(name) for name in ("TESTBED_BASE_IMAGE", "TESTBED_REGISTRY"))
    if not base or not registry:
        sys.exit('Run `../shared/testbed/testbed up registry`, then `eval "$(../shared/testbed/testbed env)"`.')
    with tempfile.TemporaryDirectory(prefix="mljupyter-benchmark-") as temporary:
        directory = Path(temporary)
        print("| builder | cold | code changed | same again | image |\n|---|---|---|---|---|")
        for name, measure in _measures(directory, base, registry).items():
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            row = measure()
            print(f"| {row.name} | {row.cold} | {row.changed} | {row.again} | {row.size} |", flush=True)
    print(f"\nRequirements: {', '.join(REQUIREMENTS)}. Cold: on a base image that nothing was built on before.")
    print(f"{_versions()}")


def _measures(directory: Path, base: str, registry: str) -> dict[str, Callable[[], Row]]:
    """Return what is measured, by the names that choose some of it on the command line."""

    def on_base(measure: Callable[[str], Row]) -> Callable[[], Row]:
        return lambda: _with_base(base, measure)

    measures = {
        "uv": lambda: _environments(directory),
        "classic": on_base(lambda own: _docker(directory, own, buildkit=False)),
        "buildkit": on_base(lambda own: _docker(directory, own, buildkit=True)),
        "daemonless": on_base(lambda own: _daemonless(directory, own, registry)),
        "plain": on_base(lambda own: _plain(directory, own, buildkit=False)),
        "plain-buildkit": on_base(lambda own: _plain(directory, own, buildkit=True)),
        "mlflow": on_base(lambda own: _peer(Mlflow(own, directory, REQUIREMENTS))),
        "bentoml": on_base(lambda own: _peer(Bentoml(own, directory, REQUIREMENTS))),
    }
    return {name: measure for name, measure in measures.items() if "buildkit" not in name or _has_buildx()}


def _with_base(base: str, measure: Callable[[str], Row]) -> Row:
    """Measure on a base image of its own: so that no builder profits from what another one, or a run before, built."""
    unique = uuid.uuid4().hex[:8]
    own = f"mljupyter/benchmark-base:{unique}"
    # A label alone would not do: BuildKit goes by content.
    dockerfile = f"FROM {base}\nLABEL mljupyter/benchmark={unique}\nRUN echo {unique} > /etc/benchmark\n"
    classic = {**os.environ, "DOCKER_BUILDKIT": "0"}
    command = ["docker", "build", "--quiet", "--tag", own, "-"]
    subprocess.run(command, input=dockerfile.encode(), check=True, capture_output=True, env=classic)
    try:
        return measure(own)
    finally:
        label = f"label=mljupyter/benchmark={unique}"
        for clean in (["rmi", "--force", own], ["image", "prune", "--force", "--filter", label]):
            subprocess.run(["docker", *clean], check=False, capture_output=True)


def _has_buildx() -> bool:
    found = subprocess.run(["docker", "buildx", "version"], check=False, capture_output=True)
    return found.returncode == 0


def _versions() -> str:
    import platform

    from mljupyter import __version__

    commands = {
        "Docker engine": ["docker", "version", "--format", "{{.Server.Version}}"],
        "buildx": ["docker", "buildx", "version"],
        "uv": [uv_program(), "--version"],
    }
    found = [f"mljupyter {__version__}", f"Python {platform.python_version()}", f"{os.cpu_count()} cores"]
    for name, command in commands.items():
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        words = [word for word in done.stdout.split() if any(letter.isdigit() for letter in word)]
        found.append(f"{name} {words[0] if words else 'none'}")
    return ", ".join(found)


def _environments(directory: Path) -> Row:
    """Make the environment as the target local does: by uv, from an empty cache, then from a full one."""
    environment = {**os.environ, "UV_CACHE_DIR": str(directory / "uv-cache")}

    def make(name: str) -> None:
        target = str(directory / name)
        quiet: dict[str, Any] = {"check": True, "env": environment, "capture_output": True}
        subprocess.run([uv_program(), "venv", "--python", sys.executable, target], **quiet)
        subprocess.run([uv_program(), "pip", "install", "--python", f"{target}/bin/python", *REQUIREMENTS], **quiet)

    return Row(
        "uv environment, no image (target `local`)", _seconds(lambda: make("cold")), "-", _seconds(lambda: make("warm"))
    )


def _docker(directory: Path, base: str, *, buildkit: bool) -> Row:
    from mljupyter.build.images.docker.builder import DockerBuilder

    kind = "BuildKit" if buildkit else "classic builder"
    with _registry(directory / f"docker-{buildkit}") as registry:
        return _three(f"mljupyter, {kind}", registry, DockerBuilder(registry.artifacts, use_buildkit=buildkit), base)


def _daemonless(directory: Path, base: str, host: str) -> Row:
    from mljupyter.build.images.oci.daemonless import DaemonlessBuilder

    _push_base(base, host)
    os.environ["UV_CACHE_DIR"] = str(directory / "uv-cache-daemonless")
    try:
        with _registry(directory / "daemonless") as registry:
            builder = DaemonlessBuilder(host, registry.artifacts, cache=directory / "notes")
            return _three("mljupyter, without an engine", registry, builder, f"{host}/{base}")
    finally:
        del os.environ["UV_CACHE_DIR"]
        subprocess.run(["docker", "rmi", f"{host}/{base}"], check=False, capture_output=True)


def _three(title: str, registry: Any, builder: Any, base: str) -> Row:
    """Build cold, with another script, and the same again."""
    from mljupyter.build.images import build_or_reuse, delete_image

    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    first, changed = (_plan(registry, base, script) for script in (SCRIPT, CHANGED))
    found = [
        _seconds(lambda plan=plan: build_or_reuse(registry, plan, builder, name))  # type: ignore[misc]
        for plan in (first, changed, first)
    ]
    size = _size(registry.images.get(name, 1).location)
    for version in (1, 2, 3):
        with contextlib.suppress(Exception):
            delete_image(registry, f"{name}:{version}", lambda: builder)
    return Row(title, *found, size)


def _size(reference: str) -> str:
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", reference], check=False, capture_output=True, text=True
    )
    return f"{int(done.stdout) / 1e6:.0f} MB" if done.returncode == 0 else "-"


def _plan(registry: Any, base: str, script: str) -> Any:
    from mljupyter.build.environments.definition import EnvironmentDefinition
    from mljupyter.build.images import plan_image
    from mljupyter.spec import CodeReference

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "score.py"
        path.write_text(script)
        code = CodeReference(digest=registry.artifacts.put(path).digest, entry_script="score.py")
    pip = list(REQUIREMENTS)
    definition = EnvironmentDefinition.parse(
        {
            "python": {"condaDependencies": {"dependencies": ["python=3.11", {"pip": pip}]}},
            "docker": {"baseImage": base},
        }
    )
    return plan_image(definition, code=code)


def _plain(directory: Path, base: str, buildkit: bool) -> Row:
    """Build what one writes by hand: pip install of the requirements, the server's and the script's, copy, run."""
    from mljupyter.build.images.plan.layout import server_requirements

    context = directory / f"plain-{buildkit}"
    context.mkdir()
    lines = (*REQUIREMENTS, *server_requirements())
    (context / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    (context / "Dockerfile").write_text(
        f"FROM {base}\nCOPY requirements.txt /tmp/\nRUN pip install --no-cache-dir -r /tmp/requirements.txt\n"
        'COPY score.py /app/\nCMD ["python3", "/app/score.py"]\n'
    )
    tag = f"mljupyter/benchmark-plain:{uuid.uuid4().hex[:8]}"

    def build(script: str) -> None:
        (context / "score.py").write_text(script)
        environment = {**os.environ, "DOCKER_BUILDKIT": str(int(buildkit))}
        command = ["docker", "build", "--quiet", "--tag", tag, str(context)]
        subprocess.run(command, check=True, capture_output=True, env=environment)

    times = [_seconds(lambda script=script: build(script)) for script in (SCRIPT, CHANGED, CHANGED)]  # type: ignore[misc]
    size = _size(tag)
    subprocess.run(["docker", "rmi", "--force", tag], check=False, capture_output=True)
    return Row(f"`docker build` with pip, {'BuildKit' if buildkit else 'classic builder'}", *times, size)


def _peer(peer: Mlflow | Bentoml) -> Row:
    try:
        peer.prepare()
        times = [_seconds(lambda number=number: peer.build(number)) for number in (7, 8, 8)]  # type: ignore[misc]
    except UnavailableError as error:
        return Row(peer.name, str(error))
    size = _size(peer.tag)
    subprocess.run(["docker", "rmi", "--force", peer.tag], check=False, capture_output=True)
    return Row(peer.name, *times, size)


def _push_base(base: str, host: str) -> None:
    for command in (["docker", "tag", base, f"{host}/{base}"], ["docker", "push", "--quiet", f"{host}/{base}"]):
        subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def _registry(directory: Path) -> Iterator[Any]:
    from mljupyter.registry import Registry

    with Registry.open(directory) as registry:
        yield registry


def _seconds(work: Callable[[], Any]) -> str:
    began = time.perf_counter()
    work()
    taken = time.perf_counter() - began
    return f"{taken:.2f} s" if taken >= 0.1 else f"{taken * 1000:.1f} ms"


if __name__ == "__main__":
    main()
