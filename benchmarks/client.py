"""A load of equal requests over keep-alive connections: by wrk where it is installed, else by asyncio."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
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


def load(url: str, body: str, connections: int, seconds: float, key: str | None = None) -> Figures:
    """Send requests for some seconds, after a warm-up, and return what was measured.

    Parameters:
        url: where to; on this machine.
        body: what to post.
        connections: how many keep-alive connections, one request at a time on each.
        seconds: how long.
        key: a key to send with each request.

    """
    measure = _wrk if shutil.which("wrk") else _python
    measure(url, body, connections, _WARM_UP_SECONDS, key)
    return measure(url, body, connections, seconds, key)


def _wrk(url: str, body: str, connections: int, seconds: float, key: str | None) -> Figures:
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{body}]==]", 'wrk.headers["Content-Type"] = "application/json"']
    if key:
        lines.append(f'wrk.headers["Authorization"] = "Bearer {key}"')
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
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


def _python(url: str, body: str, connections: int, seconds: float, key: str | None) -> Figures:
    return asyncio.run(_all(url, body, connections, seconds, key))


async def _all(url: str, body: str, connections: int, seconds: float, key: str | None) -> Figures:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
    request = f"{head}\r\n{body}".encode()
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
        await reader.readexactly(int(length[1]) if length else 0)
        failed += not head.startswith(b"HTTP/1.1 200")
        times.append(time.perf_counter() - began)
    writer.close()
    return times, failed
