"""A load of equal requests over keep-alive connections: by wrk where it is installed, else by asyncio."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Figures:
    """What a load measured. Latencies in seconds."""

    per_second: float
    p50: float
    p99: float
    failed: int


def load(
    url: str,
    body: str | bytes,
    connections: int,
    seconds: float,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Figures:
    """Send requests for some seconds, after a warm-up, and return what was measured.

    Parameters:
        url: where to; on this machine.
        body: what to post.
        connections: how many keep-alive connections, one request at a time on each.
        seconds: how long.
        key: a key to send with each request.
        headers: of each request; by default those of JSON.

    """
    sent = dict(headers or {"Content-Type": "application/json"})
    if key:
        sent["Authorization"] = f"Bearer {key}"
    content = body.encode() if isinstance(body, str) else body
    measure = _wrk if shutil.which("wrk") else _python
    measure(url, content, connections, _WARM_UP_SECONDS, sent)
    return measure(url, content, connections, seconds, sent)


def _wrk(url: str, body: bytes, connections: int, seconds: float, headers: Mapping[str, str]) -> Figures:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile() as content:
        content.write(body)
        content.flush()
        lines = ['wrk.method = "POST"', f'wrk.body = io.open("{content.name}", "rb"):read("*a")']
        lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
        script.write("\n".join(lines))
        script.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(round(seconds), 1)}s",
            "--latency",
            "-s",
            script.name,
            url,
        ]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = (int(refused[1]) if refused else 0) + (sum(map(int, lost.groups())) if lost else 0)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    return Figures(float(rate[1]) if rate else 0.0, _percentile(text, 50), _percentile(text, 99), failed)


def _percentile(text: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)", text)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def _python(url: str, body: bytes, connections: int, seconds: float, headers: Mapping[str, str]) -> Figures:
    return asyncio.run(_all(url, body, connections, seconds, headers))


async def _all(url: str, body: bytes, connections: int, seconds: float, headers: Mapping[str, str]) -> Figures:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"{head}\r\n".encode() + body
    began = time.perf_counter()
    tasks = [_one(parts.hostname or "", parts.port or 80, request, began + seconds) for _ in range(connections)]
    times: list[float] = []
    failed = 0
    for latencies, failures in await asyncio.gather(*tasks):
        times += latencies
        failed += failures
    times.sort()
    took = time.perf_counter() - began
    return Figures(len(times) / took, times[len(times) // 2], times[int(len(times) * 0.99)], failed)


async def _one(host: str, port: int, request: bytes, until: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection(host, port)
    times, failed = [], 0
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length is None and b"transfer-encoding: chunked" in head.lower():
            await reader.readuntil(b"0\r\n\r\n")  # no answer of a benchmark has a part that ends like this
        else:
            await reader.readexactly(int(length[1]) if length else 0)
        failed += not head.startswith(b"HTTP/1.1 200")
        times.append(time.perf_counter() - began)
    writer.close()
    return times, failed
