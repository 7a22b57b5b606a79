"""The endpoints of the soak, and the streams of requests to them.

What limits the capacity of most is how long `run()` waits, so that 70 % of it takes little of a processor: the soak
runs beside other work. No such limit has the model without a script; it gets one request per second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

LOAD = 0.7
"""The share of an endpoint's capacity that is asked for."""
REPLICAS = 2
START = """
import json
import time
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

"""
SCRIPTS = {
    "waiting": """
def run(data):
    time.sleep(0.8)
    return json.loads(data)
""",
    "computing": """
def run(data):
    data = json.loads(data)
    if data == "bad":
        return AMLResponse("no", 400)
    if data == "fail":
        raise ValueError("as asked")
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        sum(range(1000))
    time.sleep(0.395)
    return data
""",
    "streamed": """
def run(data):
    return AMLResponse(pieces(), 200)

def pieces():
    for number in range(10):
        time.sleep(0.1)
        yield f"{number} "
""",
    "large": """
def run(data):
    time.sleep(0.8)
    return len(json.loads(data))
""",
}
"""What scoring scripts of the endpoints do, after `START`."""
MODEL = "iris"
"""The endpoint without a script. It is neither updated nor killed, so that its replicas live as long as the piece."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind to one endpoint, at random distances.

    Attributes:
        name: of the stream.
        endpoint: where to.
        rate: requests per second on average.
        body: what is sent.
        expected: the status that is right.
        answer: the body that is right; None for any.
        keyed: whether the key is a valid one.

    """

    name: str
    endpoint: str
    rate: float
    body: bytes = field(default=b"", repr=False)
    expected: int = 200
    answer: str | None = None
    keyed: bool = True


def at_load(seconds: float, at_a_time: int = 1) -> float:
    """Return the requests per second that are the load of an endpoint whose `run()` takes so long."""
    return LOAD * REPLICAS * at_a_time / seconds


_LARGE = 1_000_000
STREAMS = (
    Stream("waiting", "waiting", at_load(0.8, 2), b'"w"', answer='"w"'),
    Stream("computing", "computing", at_load(0.4), b'"c"', answer='"c"'),
    Stream("streamed", "streamed", at_load(1.0, 2), b'"s"', answer="0 1 2 3 4 5 6 7 8 9 "),
    Stream("large", "large", at_load(0.8), json.dumps("x" * _LARGE).encode(), answer=str(_LARGE)),
    Stream("model", MODEL, 1.0, b'{"data": [[0.0], [1.0]]}', answer='{"result":[0.0,1.0]}'),
    Stream("refused by the script", "computing", 0.2, b'"bad"', expected=400, answer="no"),
    Stream("errors of the script", "computing", 0.2, b'"fail"', expected=500),
    Stream("without a valid key", "waiting", 0.2, b'"w"', expected=401, keyed=False),
)
LIMITS = {"maxQueueWaitMs": 100_000, "maxQueueLength": 1000}
AT_A_TIME = {"waiting": 2, "streamed": 2}
"""Concurrent calls of `run()` in a replica, where that is not one."""
