"""The destination of a workspace's request logs: a file that only its owner may read, because it holds secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_serializer, model_validator

from mljupyter.errors import MLJupyterError
from mljupyter.files import write_whole
from mljupyter.spec import Document, SpecError
from mljupyter.workspace_folders import make_folder

FILE_NAME = "telemetry.json"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")


class TelemetryError(MLJupyterError):
    """Records cannot be sent as configured."""


class Destination(Document):
    """A collector for OTLP over HTTP, Azure Monitor, or both.

    `otlp_endpoint` is a base URL such as ``http://localhost:4318``; ``/v1/traces`` and ``/v1/logs`` are added to it.
    Headers may contain a token, so they are secret, like the connection string.
    """

    otlp_endpoint: str | None = Field(default=None, repr=False)
    otlp_headers: dict[str, SecretStr] = Field(default={}, repr=False)
    connection_string: SecretStr | None = Field(default=None, repr=False)

    @property
    def given(self) -> bool:
        """Whether a destination is set."""
        return self.otlp_endpoint is not None or self.connection_string is not None

    @property
    def otlp_place(self) -> str | None:
        """The endpoint in a form to show: without user, password and query, which may contain a token."""
        return None if self.otlp_endpoint is None else _shown(self.otlp_endpoint)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.otlp_endpoint is not None and not _URL.fullmatch(self.otlp_endpoint):
            raise ValueError(
                f"otlpEndpoint is {_shown(self.otlp_endpoint)!r}: it must be a URL such as http://localhost:4318"
            )
        if self.connection_string is not None:
            text = self.connection_string.get_secret_value()
            if "InstrumentationKey=" not in text:
                raise ValueError(
                    "connectionString has no InstrumentationKey: copy all of it from the Application Insights resource"
                )
        return self

    @field_serializer("otlp_headers", "connection_string", when_used="json")
    def _reveal(self, value: dict[str, SecretStr] | SecretStr | None) -> dict[str, str] | str | None:
        if isinstance(value, dict):
            return {name: secret.get_secret_value() for name, secret in value.items()}
        return value.get_secret_value() if value is not None else None

    def write(self, control: Path) -> None:
        """Store the destination in a workspace's control directory, replacing the existing one."""
        make_folder(control.parent, control.name)
        write_whole(control / FILE_NAME, self.json_text())


def configured(control: Path) -> Destination:
    """Return the destination of a workspace, an empty one if none is configured.

    Raises:
        TelemetryError: when the file cannot be read.

    """
    file = control / FILE_NAME
    try:
        return Destination.parse(file.read_bytes())
    except FileNotFoundError:
        return Destination()
    except (OSError, SpecError) as error:
        reason = error.message if isinstance(error, SpecError) else error.strerror
        raise TelemetryError(f"{file} cannot be used: {reason}\nSet it again: ws.telemetry.configure(...)") from None


def from_environment(environment: Mapping[str, str]) -> Destination:
    """Return the destination from environment variables (OpenTelemetry: environment variables of exporters).

    Raises:
        SpecError: when a value breaks a rule.

    """
    pairs = [pair.partition("=") for pair in environment.get(OTLP_HEADERS, "").split(",") if "=" in pair]
    return Destination.parse(
        {
            "otlp_endpoint": environment.get(OTLP_ENDPOINT) or None,
            "otlp_headers": {name.strip(): value.strip() for name, _, value in pairs},
            "connection_string": environment.get(CONNECTION_STRING) or None,
        }
    )


def _shown(url: str) -> str:
    return re.sub(r"//[^/]*@", "//***@", url.partition("?")[0])
