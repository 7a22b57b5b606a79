"""Telemetry settings of a workspace: the collectors that records of requests are sent to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mljupyter.exceptions import UserErrorException
from mljupyter.telemetry.export.destination import Destination, configured, from_environment

_PACKAGES = {
    "telemetry": ("otlp_endpoint", "opentelemetry.exporter.otlp.proto.http"),
    "azure": ("connection_string", "azure.monitor.opentelemetry.exporter"),
}


class Telemetry:
    """The collectors that records of requests are sent to, beside the files of the replicas.

    Web services with ``enable_app_insights=True`` write records.

    Parameters:
        control: the workspace's control directory.

    Example:
        >>> ws.telemetry.configure(otlp_endpoint="http://localhost:4318")                        # doctest: +SKIP

    """

    def __init__(self, control: Path) -> None:
        self._control = control

    def configure(
        self,
        otlp_endpoint: str | None = None,
        otlp_headers: Mapping[str, str] | None = None,
        connection_string: str | None = None,
    ) -> None:
        """Send records to a collector from now on, including those that are still in the files.

        The previous setting is replaced.

        Parameters:
            otlp_endpoint: base URL of a collector that takes OTLP over HTTP, such as ``http://localhost:4318``.
            otlp_headers: headers for it, such as a token. They are kept in a file that only you can read.
            connection_string: of an Application Insights resource. It is kept like the headers.

        Raises:
            SpecError: a value breaks a rule.
            UserErrorException: nothing is given, or packages are missing, with the command that installs them.

        """
        destination = Destination.parse(
            {
                "otlp_endpoint": otlp_endpoint,
                "otlp_headers": dict(otlp_headers or {}),
                "connection_string": connection_string,
            }
        )
        if not destination.given:
            raise UserErrorException(
                "configure() without a destination: give otlp_endpoint or connection_string.\n"
                "To send records nowhere: ws.telemetry.clear()"
            )
        self._put(destination)

    def clear(self) -> None:
        """Stop sending records; replicas keep theirs in files."""
        (self._control / "telemetry.json").unlink(missing_ok=True)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the numbers of exported and lost records, and the problem if any, for each collector."""
        from mljupyter.telemetry.export.pipeline import (  # imports every exporter, which few calls need
            read_state,
            state_file,
        )

        destination = configured(self._control)
        names = ["OTLP"] if destination.otlp_endpoint else []
        names += ["Azure Monitor"] if destination.connection_string else []
        states = {name: read_state(state_file(self._control, name)) for name in names}
        return {
            name: {"exported": state.exported, "lost": state.lost, "problem": state.problem}
            for name, state in states.items()
        }

    def adopt_environment(self) -> None:
        """Use the collector of variables such as ``OTEL_EXPORTER_OTLP_ENDPOINT``, unless one is configured."""
        if configured(self._control).given:
            return
        destination = from_environment(os.environ)
        if not destination.given:
            return
        try:
            self._put(destination)
        except UserErrorException as error:
            print(f"Records of requests stay on this machine: {error.message}")
        else:
            print(f"Records of requests go to {self}, as environment variables say.")

    def _put(self, destination: Destination) -> None:
        for extra, (field, package) in _PACKAGES.items():
            if getattr(destination, field) is not None and not _installed(package):
                raise UserErrorException(
                    f"{field} needs packages that are not installed: pip install 'mljupyter[{extra}]'"
                )
        destination.write(self._control)

    def __repr__(self) -> str:
        destination = configured(self._control)
        places = [destination.otlp_place] if destination.otlp_place else []
        places += ["Azure Monitor"] if destination.connection_string else []
        return " and ".join(places) or "no collector"


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
