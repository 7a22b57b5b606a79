"""LitServe: one API server and one inference worker, connected by the queue it recommends for production."""

from __future__ import annotations

from benchmarks.serving.peer import BATCH_SECONDS, BATCH_SIZE, Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [str(site.python), str(SERVED / "litserve_server.py")]


LITSERVE = Peer(
    name="litserve",
    title="LitServe",
    requirements=("litserve==0.2.19",),
    setting="1 API server, 1 worker, fast_queue",
    route="/predict",
    command=_command,
    batching_setting=f"max_batch_size={BATCH_SIZE}, batch_timeout={BATCH_SECONDS} s",
)
