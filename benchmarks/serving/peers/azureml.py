"""azureml-inference-server-http: the reference of the scoring contract."""

from __future__ import annotations

from benchmarks.serving.peer import Peer, Site
from benchmarks.serving.scripts import EXCHANGES, script


def _command(site: Site) -> list[str]:
    return [
        site.tool("azmlinfsrv"),
        "--entry_script", str(script(site.form)),
        "--model_dir", str(site.model.parent),
        "--port", str(site.port),
        "--worker_count", "1",
    ]  # fmt: skip


AZUREML = Peer(
    name="azureml",
    title="azureml-inference-server-http",
    requirements=("azureml-inference-server-http==1.5.1",),
    setting="azmlinfsrv, 1 worker (gunicorn closes each connection after its answer)",
    route="/score",
    command=_command,
    exchanges=EXCHANGES,
    no_batching="it has none",
)
