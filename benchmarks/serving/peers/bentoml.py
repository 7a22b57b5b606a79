"""BentoML: a service class, served in its production mode, which is the default."""

from __future__ import annotations

from benchmarks.serving.peer import BATCH_SIZE, Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [
        site.tool("bentoml"), "serve", "bentoml_service:Predictor",
        "--working-dir", str(SERVED),
        "--host", "127.0.0.1",
        "--port", str(site.port),
    ]  # fmt: skip


BENTOML = Peer(
    name="bentoml",
    title="BentoML",
    requirements=("bentoml==1.4.39",),
    setting="bentoml serve, 1 worker",
    route="/predict",
    command=_command,
    batching_setting=f"batchable, at most {BATCH_SIZE}, the wait adapts",
)
