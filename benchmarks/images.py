"""How long images and environments take to build, cold and warm, next to plain Docker and other tools.

Needs the test bed's engine, base image and registry (variables TESTBED_*). Run: python -m benchmarks.images
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REQUIREMENTS = ("requests==2.32.3", "pyyaml==6.0.2", "roman==4.2")
SCRIPT = "import requests, roman, yaml\ndef init(): ...\ndef run(data): return roman.toRoman(7)\n"
CHANGED = SCRIPT.replace("(7)", "(8)")
_TOOLS = {
    "mlflow models build-docker": (
        "mlflow",
        ["mlflow", "models", "build-docker", "--model-uri", "{model}", "--name", "{tag}"],
    ),
    "bentoml containerize": ("bentoml", ["bentoml", "containerize", "{model}", "--image-tag", "{tag}"]),
}


def main() -> None:
    """Print the table."""
    base, registry = (os.environ.get(name) for name in ("TESTBED_BASE_IMAGE", "TESTBED_REGISTRY"))
    if not base or not registry:
        sys.exit('Run `../shared/testbed/testbed up registry`, then `eval "$(../shared/testbed/testbed env)"`.')
    rows: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="mljupyter-benchmark-") as temporary:
        directory = Path(temporary)
        rows.append(("uv environment", *_environments(directory)))
        rows.append(("docker", *_docker(directory, base)))
        rows.append(("daemonless", *_daemonless(directory, base, registry)))
        rows.append(("plain docker build with pip", *_plain(directory, base)))
        for name, (program, command) in _TOOLS.items():
            rows.append((name, *_other(program, command)))
    print(f"{'builder':30} {'cold':>10} {'code changed':>14} {'same again':>12}")
    for row in rows:
        print(f"{row[0]:30} {row[1]:>10} {row[2]:>14} {row[3]:>12}")
    print(f"\nRequirements: {', '.join(REQUIREMENTS)}. Cold: packages that this builder had not installed before.")
    print("An engine keeps the stage of the scoring server from the first image on: run this twice to see both.")


def _environments(directory: Path) -> tuple[str, str, str]:
    """Make the environment as the target local does: by uv, from an empty cache, then from a full one."""
    environment = {**os.environ, "UV_CACHE_DIR": str(directory / "uv-cache")}
    from mljupyter.build.uv import uv_program

    def make(name: str) -> None:
        target = str(directory / name)
        quiet: dict[str, Any] = {"check": True, "env": environment, "capture_output": True}
        subprocess.run([uv_program(), "venv", "--python", sys.executable, target], **quiet)
        subprocess.run([uv_program(), "pip", "install", "--python", f"{target}/bin/python", *REQUIREMENTS], **quiet)

    return _seconds(lambda: make("cold")), "-", _seconds(lambda: make("warm"))


def _docker(directory: Path, base: str) -> tuple[str, str, str]:
    from mljupyter.build.images.docker_builder import DockerBuilder

    with _registry(directory / "docker") as registry:
        return _three(registry, DockerBuilder(registry.artifacts), base)


def _daemonless(directory: Path, base: str, host: str) -> tuple[str, str, str]:
    from mljupyter.build.images.daemonless import DaemonlessBuilder

    _push_base(base, host)
    os.environ["UV_CACHE_DIR"] = str(directory / "uv-cache-daemonless")
    try:
        with _registry(directory / "daemonless") as registry:
            builder = DaemonlessBuilder(host, registry.artifacts, cache=directory / "notes")
            return _three(registry, builder, f"{host}/{base}")
    finally:
        del os.environ["UV_CACHE_DIR"]


def _three(registry: Any, builder: Any, base: str) -> tuple[str, str, str]:
    """Build cold, with another script, and the same again."""
    from mljupyter.build.images import build_or_reuse, delete_image

    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    # A variable that no build had before keeps the engine's cache from helping the first one.
    first, changed = (_plan(registry, base, script, name) for script in (SCRIPT, CHANGED))
    found = [
        _seconds(lambda plan=plan: build_or_reuse(registry, plan, builder, name))  # type: ignore[misc]
        for plan in (first, changed, first)
    ]
    for version in (1, 2, 3):
        with contextlib.suppress(Exception):
            delete_image(registry, f"{name}:{version}", lambda: builder)
    return found[0], found[1], found[2]


def _plan(registry: Any, base: str, script: str, unique: str) -> Any:
    from mljupyter.build.definition import EnvironmentDefinition
    from mljupyter.build.images import plan_image
    from mljupyter.spec import CodeReference

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "score.py"
        path.write_text(script)
        code = CodeReference(digest=registry.artifacts.put(path).digest, entry_script="score.py")
    # A comment in the requirements: other text, other layer, the same packages.
    pip = [f"{line} # {unique}" for line in REQUIREMENTS]
    definition = EnvironmentDefinition.parse(
        {
            "python": {"condaDependencies": {"dependencies": ["python=3.11", {"pip": pip}]}},
            "docker": {"baseImage": base},
        }
    )
    return plan_image(definition, code=code, packages=pip)


def _plain(directory: Path, base: str) -> tuple[str, str, str]:
    """Build what one writes by hand: pip install of the requirements, the server's and the script's, copy, run."""
    from mljupyter.build.images.layout import server_requirements

    context = directory / "plain"
    context.mkdir()
    unique = uuid.uuid4().hex[:8]
    lines = [f"{line} # {unique}" for line in (*REQUIREMENTS, *server_requirements())]
    (context / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    (context / "Dockerfile").write_text(
        f"FROM {base}\nCOPY requirements.txt /tmp/\nRUN pip install --no-cache-dir -r /tmp/requirements.txt\n"
        'COPY score.py /app/\nCMD ["python3", "/app/score.py"]\n'
    )
    tag, label = f"mljupyter/benchmark-plain:{unique}", f"mljupyter/benchmark={unique}"

    def build(script: str) -> None:
        (context / "score.py").write_text(script)
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        command = ["docker", "build", "--quiet", "--label", label, "--tag", tag, str(context)]
        subprocess.run(command, check=True, capture_output=True, env=environment)

    times = [_seconds(lambda script=script: build(script)) for script in (SCRIPT, CHANGED, CHANGED)]  # type: ignore[misc]
    for command in (["rmi", "--force", tag], ["image", "prune", "--force", "--filter", f"label={label}"]):
        subprocess.run(["docker", *command], check=False, capture_output=True)
    return times[0], times[1], times[2]


def _other(program: str, command: list[str]) -> tuple[str, str, str]:
    """Run another tool where it is installed; all of them pull base images from public registries."""
    model = os.environ.get(f"BENCHMARK_{program.upper()}_MODEL")
    if shutil.which(program) is None:
        return "not here", f"no {program}", "-"
    if model is None:
        return "not here", f"no model: BENCHMARK_{program.upper()}_MODEL", "-"
    arguments = [part.format(model=model, tag=f"mljupyter/benchmark-{program}:1") for part in command]
    began = time.perf_counter()
    finished = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if finished.returncode:
        last = (finished.stderr or finished.stdout).strip().splitlines()[-1:]
        return "failed", (last[0] if last else "")[:60], "-"
    return f"{time.perf_counter() - began:.1f} s", "-", "-"


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
