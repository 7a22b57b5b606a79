"""ProcessRuntime: runs replicas as processes of this machine, and finds them again by their command lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from mljupyter.engine.scaling.accelerators import Holding
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.runtimes import host, replica_layout
from mljupyter.runtimes.accelerators import VISIBLE, AcceleratorPool
from mljupyter.runtimes.base import (
    Ending,
    ReplicaLog,
    ReplicaOrder,
    RunningReplica,
    Runtime,
    RuntimeContext,
    RuntimeKind,
    Usage,
    with_accelerators,
)
from mljupyter.runtimes.process import log_files, processes
from mljupyter.runtimes.process.usage import ProcessUsage
from mljupyter.runtimes.process.zygotes import AVAILABLE as ZYGOTES_AVAILABLE
from mljupyter.runtimes.process.zygotes import Zygotes
from mljupyter.spec import VersionSpec

TARGET = "local"
MODULE = "mljupyter.scoring"
KEPT_AFTER_END = 3
_RECORD = "replica.json"
_LOG = "replica.log"
_OUTPUT = "output.log"
_WORKER_PYTHONPATH = "MLJUPYTER_WORKER_PYTHONPATH"

# The variables that a replica inherits from its controller; all others come from the spec.
_INHERITED = {
    "CONDA_PREFIX", "CURL_CA_BUNDLE", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "LANGUAGE", "LOGNAME", "NO_PROXY",
    "PATH", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER",
    "VIRTUAL_ENV",
}  # fmt: skip
_INHERITED_PREFIXES = ("CUDA_", "DYLD_", "LC_", "LD_", "MKL_", "NVIDIA_", "OMP_", "OPENBLAS_", "XDG_")


class ReplicaRecord(BaseModel):
    """The file ``replica.json`` in the directory of a replica or a zygote.

    `is_template` is True for a zygote. `forked_from` is the id of the zygote that forks a replica's workers.
    `accelerators` has the ids of the accelerators that the replica uses.
    """

    id: str
    endpoint: str
    version: str
    revision: str
    is_template: bool = False
    forked_from: str | None = None
    accelerators: tuple[str, ...] = ()


class ProcessRuntime:
    """Runs each replica as a process with its own Unix socket.

    A replica's command line names its id and its socket. A later controller finds it by them.

    Parameters:
        replicas: directory for the replicas' records and logs.
        revisions: directory for app roots.
        sockets: returns the directory for sockets. It can change, since a removed one is made again elsewhere.
        collected: directory for data that scripts collect, with one directory for each endpoint.
        store: the store that code and models come from.
        accelerators: those of this machine.

    """

    target = TARGET

    def __init__(
        self,
        *,
        replicas: Path,
        revisions: Path,
        sockets: Callable[[], Path],
        collected: Path,
        store: replica_layout.ContentStore,
        accelerators: AcceleratorPool | None = None,
    ) -> None:
        self._replicas = replicas
        self._revisions = revisions
        self._sockets = sockets
        self._collected = collected
        self._store = store
        self._accelerators = accelerators if accelerators is not None else AcceleratorPool()
        self._zygotes = Zygotes()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        # Running replicas, by their ids. They are not known from sockets, which may have been removed.
        self._processes: dict[str, processes.Identity] = {}
        self._usage = ProcessUsage()

    async def adopt(self) -> list[RunningReplica]:
        """Return the running replicas. End those without a record, since only the record says what they serve."""
        replica_layout.clear_unfinished(self._revisions)
        found = []
        for identity, command in processes.find(self._is_ours):
            replica_id = processes.option(command, "--replica") or ""
            record = self._record(replica_id)
            if record is None:
                identity.signal(signal.SIGKILL)
                continue
            found.append(self._running(record, identity, processes.option(command, "--unix-socket")))
        return found

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a process. Before the first one of a revision, create its app root.

        Raises:
            OSError: when content cannot be fetched, or there is no space.

        """
        root = await asyncio.to_thread(
            replica_layout.prepare,
            self._store,
            order.spec,
            self._revisions / f"{order.endpoint}.{order.version}.{order.revision}",
        )
        if order.spec.collect_model_data:
            for directory in (self._collected, self._collected_by(order)):
                directory.mkdir(mode=0o700, exist_ok=True)
        accelerators = self._accelerators.take(
            order.id, order.spec.resources.gpu, (order.endpoint, order.version), order.revision
        )
        try:
            return self._started(order, root, accelerators)
        except BaseException:
            self._accelerators.release(order.id)
            raise

    def _started(self, order: ReplicaOrder, root: Path, accelerators: tuple[str, ...]) -> RunningReplica:
        # CUDA cannot be used in a process that was forked after its start.
        forks = order.spec.preload and ZYGOTES_AVAILABLE and not accelerators
        forked_from = self._ensure_zygote(order, root) if forks else None
        record = ReplicaRecord(
            id=order.id,
            endpoint=order.endpoint,
            version=order.version,
            revision=order.revision,
            forked_from=forked_from,
            accelerators=accelerators,
        )
        places = ["--unix-socket", str(self._socket(order.id))]
        if forked_from is not None:
            places += ["--fork-from", str(self._socket(forked_from))]
        child = self._spawn(order, record, root, places)
        self._children[order.id] = child
        return self._running(record, processes.Identity.of_child(child.pid), places[1])

    async def ended(self, replica: RunningReplica) -> Ending:
        """Wait until a replica has ended. Its exit status is known only if this process has started it."""
        status = await processes.ended(self._identity(replica), self._children.get(replica.id))
        self._children.pop(replica.id, None)
        self._processes.pop(replica.id, None)
        self._zygotes.reap()
        self._usage.forget(replica.id)
        self._accelerators.release(replica.id)
        _remove_socket(replica)
        return Ending(status)

    def stop(self, replica: RunningReplica) -> None:
        """Ask the replica to finish its requests and end (SIGTERM)."""
        self._identity(replica).signal(signal.SIGTERM)

    def kill(self, replica: RunningReplica) -> None:
        """End the replica at once (SIGKILL)."""
        self._identity(replica).signal(signal.SIGKILL)

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove records, logs and app roots of an endpoint's ended replicas.

        With a version given, the newest three ended replicas keep their logs, and all replicas left keep their app
        roots.
        """
        if version is None:
            self._end_zygotes(endpoint)
        ended = [
            directory
            for directory, record in self._records()
            if record.endpoint == endpoint
            and version in (None, record.version)
            and directory.name not in self._processes
            and not self._socket(directory.name).exists()
        ]
        newest_first = sorted(ended, key=lambda directory: directory.stat().st_mtime, reverse=True)
        for directory in newest_first[KEPT_AFTER_END if version is not None else 0 :]:
            shutil.rmtree(directory, ignore_errors=True)
        kept = {record.revision for _, record in self._records() if record.endpoint == endpoint}
        pattern = f"{endpoint}.*" if version is None else f"{endpoint}.{version}.*"
        for root in self._revisions.glob(pattern):
            if version is None or root.name.rpartition(".")[2] not in kept:
                shutil.rmtree(root, ignore_errors=True)

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return the logs of an endpoint's replicas. Rotated parts and ended replicas are included."""
        return [
            # A replica that died before it had a log wrote the reason to its standard output.
            log_files.replica_log(
                directory,
                _LOG if (directory / _LOG).exists() else _OUTPUT,
                self._replicas / record.forked_from / _LOG if record.forked_from is not None else None,
            )
            for directory, record in self._records()
            if record.endpoint == endpoint and version in (None, record.version)
        ]

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return the request logs of replicas, ended ones included."""
        return [
            log_files.replica_log(directory, log_files.INSIGHTS)
            for directory, record in self._records()
            if endpoint in (None, record.endpoint) and version in (None, record.version)
        ]

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return CPU time and memory of replicas, with all processes that belong to them."""
        return with_accelerators(self._usage.measure(replicas, worker_pids), self._accelerators)

    async def capacity(self) -> Capacity:
        """Return cores, memory and accelerators of this machine."""
        return replace(host.capacity(), gpus=self._accelerators.number)

    async def leave(self) -> None:
        """Do nothing: processes are not watched."""

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a replica's log, or of its output if it died before it had a log."""
        directory = self._replicas / replica.id
        for name in (_LOG, _OUTPUT):
            with contextlib.suppress(OSError), (directory / name).open(errors="replace", newline="\n") as lines:
                if last := deque((line.rstrip("\n") for line in lines), maxlen=count):
                    return list(last)
        return []

    def _ensure_zygote(self, order: ReplicaOrder, root: Path) -> str:
        """Start the zygote of a replica's revision if it does not run; return its id."""
        record = ReplicaRecord(
            id=self._zygotes.id_for(order),
            endpoint=order.endpoint,
            version=order.version,
            revision=order.revision,
            is_template=True,
        )
        self._zygotes.ensure(
            self._socket(record.id),
            lambda places, descriptor: self._spawn(order, record, root, places, (descriptor,)),
        )
        return record.id

    def _end_zygotes(self, endpoint: str) -> None:
        for directory, record in self._records():
            if record.endpoint == endpoint and record.is_template:
                self._zygotes.end(self._socket(directory.name))

    def _collected_by(self, order: ReplicaOrder) -> Path:
        return self._collected / order.endpoint

    def _spawn(
        self,
        order: ReplicaOrder,
        record: ReplicaRecord,
        root: Path,
        places: list[str],
        descriptors: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        directory = self._replicas / record.id
        directory.mkdir(mode=0o700, exist_ok=record.is_template)
        with open_private(directory / _RECORD) as file:
            os.ftruncate(file, 0)  # a zygote that is started again has one already
            os.write(file, record.model_dump_json().encode())
        # The server always runs in this interpreter, where it is installed; only the script needs its own.
        other = _other_python(order.spec)
        worker = ["--worker-python", other] if other is not None else []
        files = ["--log-file", str(directory / _LOG), "--insights-file", str(directory / log_files.INSIGHTS)]
        options = [*places, *files, *worker]
        with open_private(directory / _OUTPUT) as output:
            return subprocess.Popen(
                [sys.executable, "-m", MODULE, *options, *replica_layout.server_options(order.spec, record.id)],
                cwd=directory,  # not the app root: a file json.py there must not replace the server's own json
                env=_environment(order, root, self._collected_by(order), record.accelerators),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=descriptors,
            )

    def _running(self, record: ReplicaRecord, identity: processes.Identity, socket: str | None) -> RunningReplica:
        self._processes[record.id] = identity
        holding = Holding(record.accelerators, (record.endpoint, record.version), record.revision)
        self._accelerators.hold(record.id, holding)
        return RunningReplica(
            id=record.id,
            endpoint=record.endpoint,
            version=record.version,
            revision=record.revision,
            target=self.target,
            address=f"unix:{socket or self._socket(record.id)}",
            pid=identity.pid,
            started_time=identity.started_time,
            accelerators=record.accelerators,
        )

    def _identity(self, replica: RunningReplica) -> processes.Identity:
        return self._processes.get(replica.id) or processes.Identity(replica.pid or 0, "")

    def _socket(self, replica_id: str) -> Path:
        return self._sockets() / f"{replica_id.rpartition('-')[2]}.sock"

    def _is_ours(self, command: list[str]) -> bool:
        socket = processes.option(command, "--unix-socket")
        is_replica = processes.option(command, "-m") == MODULE and socket is not None
        return (is_replica and Path(socket or "").parent == self._sockets()) or _is_replica_below(
            self._replicas, command
        )

    def _record(self, replica_id: str) -> ReplicaRecord | None:
        if Path(replica_id).name != replica_id:  # a path could lead out of the directory of the records
            return None
        return read_record(self._replicas / replica_id)

    def _records(self) -> list[tuple[Path, ReplicaRecord]]:
        found = [(directory, self._record(directory.name)) for directory in self._replicas.iterdir()]
        return [(directory, record) for directory, record in found if record is not None]


def replicas_of(directory: Path) -> list[tuple[processes.Identity, str, Path]]:
    """Return the replicas that run with records below a directory: for each its process, its id and its socket."""
    return [
        (identity, processes.option(command, "--replica") or "", Path(processes.option(command, "--unix-socket") or ""))
        for identity, command in processes.find(lambda command: _is_replica_below(directory, command))
    ]


def _is_replica_below(directory: Path, command: list[str]) -> bool:
    """Return whether a command line is that of a replica. Its log decides; its socket may be elsewhere."""
    file = processes.option(command, "--log-file")
    is_replica = processes.option(command, "-m") == MODULE and processes.option(command, "--unix-socket") is not None
    return is_replica and file is not None and Path(file).parent.parent == directory


def read_record(directory: Path) -> ReplicaRecord | None:
    """Return the record in a replica's directory; None when it cannot be read."""
    try:
        return ReplicaRecord.model_validate_json((directory / _RECORD).read_bytes())
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def open_private(path: Path) -> Iterator[int]:
    """Open a file for appending that only its owner may read; yield its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _environment(order: ReplicaOrder, root: Path, collected: Path, accelerators: Sequence[str]) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    contract = replica_layout.contract_variables(
        order.spec,
        root,
        service=order.endpoint,
        version=order.version,
        workspace=order.workspace,
        collected=collected,
    )
    threads = replica_layout.thread_variables(order.spec)
    given = {**({VISIBLE: ",".join(accelerators)} if accelerators else {}), **order.spec.environment_variables}
    if _other_python(order.spec) is not None and "PYTHONPATH" in given:
        given[_WORKER_PYTHONPATH] = given.pop("PYTHONPATH")  # modules for the script's Python, not for the server's
    # A script reads and prints UTF-8 whatever the locale of the machine, as in an image.
    return {**threads, **inherited, "PYTHONUTF8": "1", **given, **contract, "PYTHONUNBUFFERED": "1"}


def _remove_socket(replica: RunningReplica) -> None:
    Path(replica.address.removeprefix("unix:")).unlink(missing_ok=True)


def _other_python(spec: VersionSpec) -> str | None:
    """Return the interpreter that runs the script; None when it is the one that runs this."""
    return spec.interpreter if spec.interpreter not in (None, "", sys.executable) else None


def _make(context: RuntimeContext) -> Runtime:
    return ProcessRuntime(
        replicas=context.replicas,
        revisions=context.revisions,
        sockets=context.sockets,
        collected=context.collected,
        store=context.contents,
        accelerators=context.accelerators,
    )


KIND = RuntimeKind(
    target=TARGET,
    make=_make,
    request_logs=lambda _workspace, replicas: lambda: log_files.record_logs(replicas),
    own_processes=True,
    found_at_start=True,
)
