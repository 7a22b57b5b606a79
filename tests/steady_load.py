"""A steady load from a process of its own, cheap enough to find the router and replicas busy and not itself.

A request counts as failed when it is not answered with 200, whatever the reason; no request is sent twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.waiting import COMMAND_SECONDS, HANG_SECONDS, wait_until

CLIENTS, ONE_SHOT = 20, 4
REQUESTS = int(os.environ.get("MLJUPYTER_FAULT_REQUESTS", "5000"))
REQUESTS_ON = {
    "local": REQUESTS,
    "docker": int(os.environ.get("MLJUPYTER_FAULT_REQUESTS", "2000")),
    "kubernetes": int(os.environ.get("MLJUPYTER_FAULT_REQUESTS", "2000")),
}
RATE = float(os.environ.get("MLJUPYTER_FAULT_RATE", "0"))
_TOLD_EVERY = 0.02
_PAUSE_AFTER_FAILURE = 0.01


@dataclass(frozen=True)
class Failure:
    """A request that failed: when it was sent and when it failed, on the monotonic clock, how, and on which connection.

    The connection is the client's port, and whether it was opened for this request.
    """

    sent: float
    at: float
    kind: str
    connection: str


@dataclass
class SteadyLoad:
    """Sends requests from `clients` clients, at least `requests` of them and until it is left.

    Parameters:
        url: where to.
        key: sent as a bearer token.
        body: what is sent.
        clients: how many send at once, each the next request as soon as the one before is answered.
        one_shot: how many of them open a connection for each request; the others keep theirs.
        requests: how many are sent at least.
        most: how many are sent at most.
        header: another header, ``NAME: VALUE``.
        pause: of a client between an answer and its next request, in seconds. The default is that of `RATE`: all
            clients together send at most so many requests per second; 0 for as many as they can.
        patience: how long a client waits for an answer before the request counts as failed, in seconds.

    """

    url: str
    key: str | None = None
    body: str = "[1, 2]"
    clients: int = CLIENTS
    one_shot: int = ONE_SHOT
    requests: int = REQUESTS
    most: int = 100_000
    header: str | None = None
    pause: float | None = None
    patience: float = HANG_SECONDS
    results: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.steady_load", json.dumps(self._order())]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("stop now\n" if error else "stop\n")
            self._process.stdin.close()
        try:
            status = self._process.wait(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._reader.join(timeout=HANG_SECONDS)
        assert error is not None or status == 0

    @property
    def sent(self) -> int:
        """How many requests have been answered or have failed."""
        return sum(self.results.values())

    @property
    def failed(self) -> int:
        """How many requests were not answered with 200."""
        return self.sent - self.results["200"]

    def after(self, moment: float) -> list[Failure]:
        """Return the requests that were sent after a moment of the monotonic clock and failed."""
        return [failure for failure in self.failures if failure.sent > moment]

    def runs(self, more: int = 200) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.results["200"] + more
        wait_until(lambda: self.results["200"] >= goal, f"the load goes on {dict(self.results)}")

    def _order(self) -> dict[str, Any]:
        names = ("url", "key", "body", "clients", "one_shot", "requests", "most", "header", "patience")
        pause = self.pause if self.pause is not None else self.clients / RATE if RATE else 0.0
        return {name: getattr(self, name) for name in names} | {"pause": pause}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.failures += [Failure(*failure) for failure in told["failures"]]
            self.results = Counter(told["results"])
            self.milliseconds = told["milliseconds"]


class _Sender:
    """What runs in the other process."""

    def __init__(self, order: dict[str, Any]) -> None:
        parts = urlsplit(order["url"])
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._tls = ssl._create_unverified_context() if parts.scheme == "https" else None
        body = order["body"].encode()
        lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
        lines += [f"authorization: Bearer {order['key']}"] if order["key"] else []
        lines += [order["header"]] if order["header"] else []
        self._kept = ("\r\n".join([*lines, "", ""])).encode() + body
        self._closed = ("\r\n".join([*lines, "connection: close", "", ""])).encode() + body
        self._order = order
        self._stop = self._stop_now = False
        self._results: Counter[str] = Counter()
        self._failures: deque[tuple[float, float, str, str]] = deque()
        self._milliseconds: list[float] = []
        self._begun = 0

    async def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        count, once = self._order["clients"], self._order["one_shot"]
        telling = asyncio.create_task(self._tell_often())
        await asyncio.gather(*(self._client(number < once) for number in range(count)))
        telling.cancel()
        self._tell(last=True)

    def _listen(self) -> None:
        for line in sys.stdin:
            self._stop_now = "now" in line
            self._stop = True

    async def _tell_often(self) -> None:
        while True:
            await asyncio.sleep(_TOLD_EVERY)
            self._tell()

    def _tell(self, last: bool = False) -> None:
        failures = [self._failures.popleft() for _ in range(len(self._failures))]
        ordered = sorted(self._milliseconds) if last else []
        found = {f"p{share}": round(ordered[len(ordered) * share // 100], 2) for share in (50, 99) if ordered}
        print(json.dumps({"results": self._results, "failures": failures, "milliseconds": found}), flush=True)

    def _over(self) -> bool:
        enough = self._begun >= self._order["requests"]
        return self._stop_now or (self._stop and enough) or self._begun >= self._order["most"]

    async def _client(self, once: bool) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._over():
            self._begun += 1
            sent, is_new = time.monotonic(), connection is None
            try:
                async with asyncio.timeout(self._order["patience"]):
                    if connection is None:
                        connection = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                    status, kept = await self._ask(*connection, self._closed if once else self._kept)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
                status, kept = type(error).__name__, False
            done = time.monotonic()
            self._results[status] += 1
            if status == "200":
                self._milliseconds.append((done - sent) * 1000)
            else:
                self._failures.append((sent, done, status, self._described(connection, is_new=is_new)))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            if self._order["pause"]:
                await asyncio.sleep(self._order["pause"])
            if not kept and connection is not None:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    @staticmethod
    def _described(connection: tuple[Any, asyncio.StreamWriter] | None, *, is_new: bool) -> str:
        if connection is None:
            return "not connected"
        _, port = (connection[1].get_extra_info("sockname") or ("", "unknown"))[:2]
        return f"port {port}, {'new' if is_new else 'kept'}"

    @staticmethod
    async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[str, bool]:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, rest = head.partition(b"content-length: ")
        await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        return head[9:12].decode(), b"connection: close" not in head


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("order", type=json.loads)
    asyncio.run(_Sender(parser.parse_args().order).run())
