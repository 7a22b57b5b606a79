"""The operator's questions to a router pod: one that waits holds up no other one."""

from __future__ import annotations

import asyncio

from mljupyter.kubernetes.operator.router_pod import RouterPod
from tests.waiting import HANG_SECONDS

_YES = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def test_a_route_that_is_not_in_force_yet_does_not_hold_up_the_others() -> None:
    asked, in_force = asyncio.Event(), asyncio.Event()

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/v1/routes/slow" in head:
                    asked.set()
                    await in_force.wait()
                writer.write(_YES)
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(agent, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    pod = RouterPod("router-1", "uid", f"{host}:{port}", "secret")
    async with asyncio.timeout(HANG_SECONDS):
        slow = asyncio.create_task(pod.route_in_force("slow", "1"))
        await asked.wait()
        await asyncio.gather(*(pod.route_in_force(f"endpoint-{number}", "1") for number in range(50)))
        assert not slow.done()
        in_force.set()
        await slow
    await pod.close()
    server.close()
