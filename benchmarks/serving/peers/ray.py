"""Ray Serve: one replica behind HAProxy, the high-throughput mode of its documentation."""

from __future__ import annotations

import json

from benchmarks.serving.exchange import BYTES, Exchange, Form, document, lines, numbers
from benchmarks.serving.peer import BATCH_SECONDS, BATCH_SIZE, Peer, Site


def _command(site: Site) -> list[str]:
    config = {
        "http_options": {"host": "127.0.0.1", "port": site.port},
        "applications": [{"name": "benchmark", "route_prefix": "/", "import_path": "ray_app:app"}],
    }
    path = site.directory / "serve.yaml"
    path.write_text(json.dumps(config))  # YAML includes JSON
    return [site.tool("serve"), "run", str(path)]


RAY = Peer(
    name="ray",
    title="Ray Serve",
    requirements=("ray[serve]==2.60.0",),
    setting="serve run, 1 replica, HAProxy and throughput mode on",
    route="/",
    command=_command,
    exchanges={
        Form.ROWS: Exchange(document("data"), numbers()),
        Form.RECORDS: Exchange(document("data"), numbers()),
        Form.IMAGE: Exchange(lambda content: content, numbers(), BYTES),
        Form.STREAM: Exchange(document("data"), lines),
    },
    proxy=True,
    variables={"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
    batching_setting=f"serve.batch, max_batch_size={BATCH_SIZE}, batch_wait_timeout_s={BATCH_SECONDS}",
)
