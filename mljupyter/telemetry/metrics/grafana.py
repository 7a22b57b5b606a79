"""The dashboard for Grafana that comes with the package."""

from __future__ import annotations

from importlib import resources


def dashboard_text() -> str:
    """Return the dashboard as JSON text for import into Grafana, which then asks for the Prometheus data source."""
    return resources.files("mljupyter.telemetry.metrics").joinpath("grafana.json").read_text(encoding="utf-8")
