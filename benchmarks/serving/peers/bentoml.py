"""BentoML: a service class, served in its production mode, which is the default."""

from __future__ import annotations

from benchmarks.serving.exchange import Exchange, Form, document, lines, multipart, numbers
from benchmarks.serving.peer import BATCH_SIZE, Peer, Site
from benchmarks.serving.workloads import SERVED


def _command(site: Site) -> list[str]:
    return [
        site.tool("bentoml"), "serve", "bentoml_service:Predictor",
        "--working-dir", str(SERVED),
        "--host", "127.0.0.1",
        "--port", str(site.port),
    ]  # fmt: skip


_ENCODE, _CONTENT_TYPE = multipart("data")

BENTOML = Peer(
    name="bentoml",
    title="BentoML",
    requirements=("bentoml==1.4.40",),
    setting="bentoml serve, 1 worker",
    route="/predict",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(document("data"), numbers()),
        Form.RECORDS: Exchange(document("data"), numbers()),
        Form.IMAGE: Exchange(_ENCODE, numbers(), _CONTENT_TYPE),
        Form.STREAM: Exchange(document("data"), lines),
    },
    batching_setting=f"batchable, at most {BATCH_SIZE}, the wait adapts",
)
