"""The statistics that Envoy keeps of a cluster: those that are read, and those alone.

Envoy has more than a hundred statistics of each cluster, and looks at all of them for each question. With these
settings a cluster has about twenty, and one without requests fewer than ten: an idle endpoint costs almost nothing.
"""

from __future__ import annotations

from mljupyter.engine.envoy.extensions import Resource

_OTHERS = r"([^c]|c[^l]|cl[^u]|cluster[^.]).*"
"""The names that do not begin with ``cluster.``; Envoy's regular expressions have no negation."""

OF_CLUSTER = (
    "upstream_rq_active",
    "upstream_rq_pending_active",
    "upstream_rq_total",
    "upstream_rq_completed",
    "upstream_rq_retry",
    "upstream_rq_time",
    "upstream_rq_4xx",
    "upstream_rq_5xx",
    "upstream_rq_503",
    "upstream_rq_504",
    "upstream_cx_rx_bytes_total",
    "upstream_cx_tx_bytes_total",
    "upstream_cx_destroy_remote_with_active_rq",
    "circuit_breakers.default.remaining_retries",
    "ClusterTrafficStats.initialized",  # by it, a cluster that replaces another one goes on with its counters
    # The state of its replicas, if it reads them from a file.
    "version_text",
    "update_rejected",
    "update_failure",
)


def kept() -> Resource:
    """Return the settings of Envoy's bootstrap configuration by which it keeps only these statistics of clusters.

    Those of requests are made with the first request of a cluster. Before that, they are not reported: they are zero.
    """
    names = "|".join(name.replace(".", r"\.") for name in OF_CLUSTER)
    patterns = [_OTHERS, rf"cluster\..*\.({names})"]
    return {
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": one}} for one in patterns]}}
        },
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }
