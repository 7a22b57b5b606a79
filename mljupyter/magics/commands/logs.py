"""``%logs``: logs of an endpoint's replicas and of its image build."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mljupyter.build.images import stored_text
from mljupyter.core import Webservice
from mljupyter.core.image import Image
from mljupyter.engine.log_lines import shown_line, shown_lines
from mljupyter.errors import MLJupyterError
from mljupyter.magics.commands.endpoints import version_of, webservice
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.log_lines import Filter
from mljupyter.notebook.views.views import Text
from mljupyter.visible import lines_of, visible

if TYPE_CHECKING:
    from mljupyter.widgets.panels.log_panel import LogPanel  # slow import; only if a widget is shown

_MOST_LINES = 5000
"""Number of lines to read if a filter is given."""


class NoBuildLogError(MLJupyterError):
    """No image of an endpoint was built here."""


def run(call: Call) -> Any:
    """Return the last lines of the log, or follow new lines."""
    _check(call)
    service = webservice(call.session.workspace(), call.endpoint)
    if call.version is not None:
        version_of(service, call.version)
    chosen = _filter(call)
    if call["follow"]:
        return _follow(call, service, chosen)
    text = _build_log(call, service) if call["build"] else _log(call, service, everything=chosen == Filter())
    lines = list(chosen.chosen(lines_of(text)))[-call["lines"] :]
    if not call["json"]:
        lines = list(shown_lines(lines, datetime.now(UTC)))
    if call["json"]:
        print(json_line({"name": call["name"], "lines": lines}))
        return call.deliver(lines) if call["output"] else None
    return call.deliver(Text("\n".join(lines)))


def _check(call: Call) -> None:
    ways = [name for name in ("follow", "startup", "build", "json") if call[name]]
    if len(ways) > 1 and ways not in (["startup", "json"], ["build", "json"]):
        raise WrongInputError(f"{' and '.join(f'--{way}' for way in ways)} cannot be combined: give one.")


def _filter(call: Call) -> Filter:
    try:
        pattern = None if call["grep"] is None else re.compile(call["grep"])
    except re.error as error:
        raise WrongInputError(f"--grep {call['grep']}: this is not a regular expression: {error}.") from None
    since = None if call["since"] is None else datetime.now(UTC) - timedelta(seconds=call["since"])
    return Filter(pattern, call["level"], since)


def _log(call: Call, service: Webservice, *, everything: bool) -> str:
    return service.workspace.endpoints.logs(
        service.name,
        lines=call["lines"] if everything else _MOST_LINES,
        version=call.version,
        startup=call["startup"],
    )


def _build_log(call: Call, service: Webservice) -> str:
    spec = service.workspace.endpoints.endpoint(service.name).spec
    image_id = spec.versions[call.version or spec.default_version].image_id
    if image_id is None:
        raise NoBuildLogError(f"No image was built for {call['name']!r}: on {spec.compute_target} it needs none.")
    record = Image(service.workspace, id=image_id).record
    if record.log_digest is None:
        raise NoBuildLogError(f"Image {image_id} ({record.creation_state}) has no log: it was not built here.")
    return stored_text(service.workspace.registry, record.log_digest)


def _follow(call: Call, service: Webservice, chosen: Filter) -> LogPanel | None:
    if call.has_widgets:
        from mljupyter.widgets.panels.log_panel import LogPanel  # slow import; only if a widget is shown
        from mljupyter.widgets.panels.log_sources import EndpointLog  # slow import; only if a widget is shown

        return LogPanel(EndpointLog(service, call["lines"], call.version, chosen))
    lines: Iterable[str] = service.workspace.endpoints.follow_logs(
        service.name, lines=call["lines"], version=call.version
    )
    try:
        for line in chosen.chosen(lines):
            print(visible(shown_line(line, datetime.now(UTC))), end="", flush=True)
    except KeyboardInterrupt:
        print(f"Stopped following {call['name']!r}.")
    return None
