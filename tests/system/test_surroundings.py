"""An endpoint lives in every shape of the world, or the first call says what is missing: locale, home, file systems.

Each case is a container without root rights, without a network and with a read-only root. Its user, 12345, has no name
there. It has this Python and these packages at their own paths, and runs `surroundings/life_cycle.py`.

File systems without locks, such as NFS without its lock service, are imitated: the container's system call filter lets
``flock`` fail with the errors that Linux gives there. A clock that is wrong is imitated by a library that every process
of the container loads (`surroundings/clock.c`), and by the time of boot in ``/proc/stat``, from which start times of
processes are computed: Linux moves that with the clock too.
"""

from __future__ import annotations

import compileall
import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import mljupyter
from tests.testbed import needed
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS

pytestmark = pytest.mark.system
HERE = Path(__file__).with_name("surroundings")
LATIN = "en_US.ISO-8859-1"
LONG = "/data/" + "/".join(["l" * 60] * 5)
SPACES = "/data/mein Häuschen ☃"
AT_A_TIME = 3


@dataclass(frozen=True)
class Case:
    """A shape of the world: how it differs from a usual container.

    Attributes:
        environment: variables beside ``HOME``; None for one that is not set.
        options: arguments of the engine.
        before: a shell command that runs first, in the same shell.
        work: the directory to work in.
        refused: parts of the error when nothing can be deployed; empty when everything works.

    """

    environment: dict[str, str | None] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    before: str = "true"
    work: str = "/data/work"
    refused: tuple[str, ...] = ()


def without_locks(number: int) -> Case:
    """Return the case of a home directory where locks fail with an error."""
    rule = {"names": ["flock"], "action": "SCMP_ACT_ERRNO", "errnoRet": number}
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    said = ("'/data/home/.mljupyter/workspaces' is on a file system without locks", "MLJUPYTER_HOME")
    return Case(options={"security_opt": [f"seccomp={profile}"]}, refused=said)


CASES = {
    "no locale": Case({"LANG": None, "LC_ALL": None}),
    "locale C": Case({"LC_ALL": "C"}),
    "locale POSIX, without the UTF-8 mode of Python": Case(
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ),
    "locale in Latin-1": Case({"LC_ALL": LATIN, "LOCPATH": "/locales"}),
    "output in ASCII": Case({"PYTHONIOENCODING": "ascii"}),
    "output in Latin-1": Case({"PYTHONIOENCODING": "latin-1"}),
    "umask 077": Case(before="umask 077"),
    "read-only home": Case(
        {"HOME": "/nowhere"}, refused=("'world' cannot be created: Read-only file system: /nowhere", "MLJUPYTER_HOME")
    ),
    "read-only home, workspaces elsewhere": Case({"HOME": "/nowhere", "MLJUPYTER_HOME": "/data/workspaces"}),
    "no home": Case({"HOME": None}, refused=("HOME is not set, and user 12345 has no name", "Set MLJUPYTER_HOME")),
    "no home, workspaces elsewhere": Case({"HOME": None, "MLJUPYTER_HOME": "/data/workspaces"}),
    "no shared memory": Case(options={"ipc_mode": "none"}),
    "tiny shared memory": Case(options={"shm_size": 4096}),
    "/tmp without programs": Case(options={"tmpfs": {"/data": "mode=1777,exec", "/tmp": "mode=1777,noexec"}}),
    "spaces and other letters in paths": Case({"HOME": f"{SPACES}/home"}, work=f"{SPACES}/work"),
    "long paths": Case({"HOME": f"{LONG}/home", "TMPDIR": LONG}, before=f"mkdir -p {LONG}", work=f"{LONG}/work"),
    "no locks": without_locks(errno.ENOLCK),
    "locks are not supported": without_locks(errno.EOPNOTSUPP),
    "clock that jumps by a day": Case(work="/data/work /clock/offset"),
}


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Return a function that gives the exit status and output of a case. All chosen cases run, three at a time."""
    needed("MLJUPYTER_TEST_DOCKER")
    image = needed("MLJUPYTER_TEST_BASE_IMAGE")
    from mljupyter.build.images.docker.engine import connect

    shared = tmp_path_factory.mktemp("surroundings")
    (shared / "root").mkdir(mode=0o755)  # this Python may be below /root, which nobody else may enter
    volumes = {
        str(place): {"bind": bind, "mode": mode}
        for place, bind, mode in (
            (shared / "root", "/root", "rw"),
            (Path(sys.base_prefix), sys.base_prefix, "ro"),
            (Path(sys.prefix), sys.prefix, "ro"),
            (Path(mljupyter.__file__).parent, str(Path(mljupyter.__file__).parent), "ro"),
            (HERE, "/script", "ro"),
            (_locales(shared), "/locales", "ro"),
        )
        if bind != "/usr"
    }
    compileall.compile_dir(Path(mljupyter.__file__).parent, quiet=2)  # containers cannot keep what they compile
    clock = _clock(shared)
    client = connect(timeout=HANG_SECONDS)

    def run(case: Case) -> tuple[int, str]:
        environment = {"HOME": "/data/home", "LANG": "C.UTF-8", "MLJUPYTER_MLFLOW": "off", **case.environment}
        environment["HANG_SECONDS"] = str(HANG_SECONDS)  # this package is not there
        unset = " ".join(["unset", *(name for name, value in environment.items() if value is None)])
        program = (
            f"{unset}; {case.before} && exec {sys.executable} /script/life_cycle.py"  # engines set HOME by themselves
        )
        work, *rest = [case.work] if " /clock" not in case.work else case.work.split()
        options = {"tmpfs": {"/data": "mode=1777,exec", "/tmp": "mode=1777,exec"}, **case.options}
        container = client.containers.run(
            image,
            ["sh", "-c", f'{program} "$@"', "sh", work, *rest],
            detach=True,
            user="12345:12345",
            read_only=True,
            network_mode="none",
            cap_drop=["ALL"],
            environment={name: value for name, value in environment.items() if value is not None},
            volumes={**volumes, **(clock if rest else {})},
            **options,
        )
        try:
            status = container.wait(timeout=COMMAND_SECONDS)["StatusCode"]
            return status, container.logs().decode(errors="replace")
        finally:
            container.remove(force=True)

    parameters = (item.callspec.params for item in request.session.items if hasattr(item, "callspec"))
    chosen = {given["name"] for given in parameters if given.get("name") in CASES}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        started: dict[str, Future[tuple[int, str]]] = {name: pool.submit(run, CASES[name]) for name in chosen}
        yield lambda name: started[name].result()
        for future in started.values():
            future.cancel()
    client.close()


def _locales(directory: Path) -> Path:
    """Make the definition of a locale that is not in UTF-8, which images of Python do not have."""
    made = directory / "locales"
    made.mkdir()
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", "--no-archive", str(made / LATIN)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there are no definitions of locales here: apt-get install locales ({error})")
    return made


def _clock(directory: Path) -> dict[str, dict[str, str]]:
    """Build the library with the wrong clock; return the mounts of a container that has it."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("the clock of a container needs a C compiler: apt-get install gcc")
    place = directory / "clock"
    place.mkdir(mode=0o755)
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", place / "clock.so", HERE / "clock.c"], check=True)
    (place / "offset").write_bytes(bytes(8))
    (place / "stat").write_bytes(Path("/proc/stat").read_bytes())
    (place / "preload").write_text("/clock/clock.so\n", encoding="ascii")
    for name in ("offset", "stat"):
        (place / name).chmod(0o666)
    return {
        str(place): {"bind": "/clock", "mode": "rw"},
        str(place / "preload"): {"bind": "/etc/ld.so.preload", "mode": "ro"},
        str(place / "stat"): {"bind": "/proc/stat", "mode": "rw"},
    }


@pytest.mark.parametrize("name", CASES)
def test_an_endpoint_lives_in_this_shape_of_the_world_or_the_reason_is_said(
    name: str, outcome: Callable[[str], tuple[int, str]]
) -> None:
    status, output = outcome(name)
    if refused := CASES[name].refused:
        assert status == 1, output
        assert all(part in output for part in refused), output
    else:
        assert (status, output.splitlines()[-1:]) == (0, ["DONE"]), output
