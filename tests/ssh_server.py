"""A real SSH server of a test's own, and an engine behind it."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS


@contextmanager
def ssh_server(directory: Path, engine: str) -> Iterator[tuple[int, Path]]:
    """A real SSH server that runs commands as OpenSSH's does; yield its port and the configuration of a client."""
    import asyncssh

    key, host_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(directory / "id")
    (directory / "id").chmod(0o600)

    class Server(asyncssh.SSHServer):
        def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
            self.connection = connection

        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, offered: asyncssh.SSHKey) -> bool:
            return username == "ada" and offered.public_data == key.public_data

        def connection_requested(self, *_: object) -> bool:
            return True

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        # A login there has an environment of its own: its docker speaks to that machine's engine.
        child = await asyncio.create_subprocess_shell(
            process.command or "false",
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "DOCKER_HOST": engine},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        process.exit(await child.wait())

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key], process_factory=run, encoding=None
        )

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(HANG_SECONDS)
    port = acceptor.get_port()
    (directory / "known_hosts").write_bytes(f"[127.0.0.1]:{port} ".encode() + host_key.export_public_key())
    configuration = directory / "ssh_config"
    configuration.write_text(
        f"Host *\n  IdentityFile {directory}/id\n  IdentitiesOnly yes\n  UserKnownHostsFile {directory}/known_hosts\n"
        "  StrictHostKeyChecking yes\n"
    )
    try:
        yield port, configuration
    finally:

        async def close() -> None:
            acceptor.close()
            await acceptor.wait_closed()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), loop).result(HANG_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(HANG_SECONDS)


@contextmanager
def engine_over_ssh(engine: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address by SSH of an engine. The client reads a configuration of the test's instead of the user's."""
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.skip("the program ssh is missing: install OpenSSH's client")
    with ssh_server(directory, engine) as (port, configuration):
        programs = directory / "bin"
        programs.mkdir()
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {configuration} "$@"\n')
        (programs / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        yield f"ssh://ada@127.0.0.1:{port}"
