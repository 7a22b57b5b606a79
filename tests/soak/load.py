"""The clients of the soak: streams of requests at random distances, and what became of each request.

A request is sent whether earlier ones are answered or not, as those of many clients are. None is sent twice.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from tests.soak.endpoints import Stream
from tests.soak.rules import BROKEN_OFF, Failure
from tests.waiting import HANG_SECONDS

_WRONG_KEY = "0" * 32
_SHOWN = 200
"""Characters of a wrong answer that are shown."""


class Load:
    """Sends the streams of requests from a thread of its own, until it is left.

    Parameters:
        streams: what is sent.
        uris: scoring URIs by endpoint.
        keys: a valid key of each endpoint; `use` changes one.
        seed: for the distances between requests.

    """

    def __init__(
        self, streams: Sequence[Stream], uris: Mapping[str, str], keys: Mapping[str, str], seed: int = 0
    ) -> None:
        self._streams, self._uris, self._keys = streams, uris, dict(keys)
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._sent: Counter[str] = Counter()
        self._statuses: dict[str, Counter[int]] = {stream.endpoint: Counter() for stream in streams}
        self._failures: list[Failure] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._thread.join(timeout=HANG_SECONDS)

    def use(self, endpoint: str, key: str) -> None:
        """Send requests to an endpoint with another key from now on."""
        self._keys[endpoint] = key

    def sent(self) -> Counter[str]:
        """Return how many requests of each stream have been answered or have failed."""
        with self._lock:
            return self._sent.copy()

    def statuses(self) -> dict[str, Counter[int]]:
        """Return the statuses that the clients have got, by endpoint."""
        with self._lock:
            return {endpoint: found.copy() for endpoint, found in self._statuses.items()}

    def failures(self, after: int = 0) -> list[Failure]:
        """Return the requests that were not answered as expected; `after` leaves out the first ones."""
        with self._lock:
            return self._failures[after:]

    def _run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=HANG_SECONDS, limits=limits, trust_env=False) as client:
            await asyncio.gather(*(self._stream(client, stream) for stream in self._streams))

    async def _stream(self, client: httpx.AsyncClient, stream: Stream) -> None:
        due = time.monotonic() + self._chance.expovariate(stream.rate)
        async with asyncio.TaskGroup() as tasks:
            while not self._ending:
                # Where this process was late, the next ones are sent at once: the rate is that of the plan.
                await asyncio.sleep(max(0.0, min(due - time.monotonic(), 0.5)))
                if time.monotonic() >= due:
                    tasks.create_task(self._send(client, stream))
                    due += self._chance.expovariate(stream.rate)

    async def _send(self, client: httpx.AsyncClient, stream: Stream) -> None:
        key = self._keys[stream.endpoint] if stream.keyed else _WRONG_KEY
        sent, status, what = time.time(), None, ""
        request = client.build_request(
            "POST", self._uris[stream.endpoint], content=stream.body, headers={"authorization": f"Bearer {key}"}
        )
        try:
            answer = await client.send(request, stream=True)
            status = answer.status_code
            try:
                text = (await answer.aread()).decode(errors="replace")
            finally:
                await answer.aclose()
            if status != stream.expected or stream.answer not in (None, text):
                what = f"{status} {text[:_SHOWN]}"
        except httpx.HTTPError as error:
            about = f"{type(error).__name__}: {error}"
            what = about if status is None else f"{BROKEN_OFF} after {status}: {about}"
        with self._lock:
            self._sent[stream.name] += 1
            if status is not None:
                self._statuses[stream.endpoint][status] += 1
            if what:
                self._failures.append(Failure(stream.name, stream.endpoint, sent, time.time(), what))
