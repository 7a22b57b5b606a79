"""The page of the deploy wizard for authentication and encryption."""

from __future__ import annotations

from typing import Any

from mljupyter.core import Workspace
from mljupyter.core.router import Router
from mljupyter.errors import MLJupyterError
from mljupyter.spec import EndpointKind
from mljupyter.targets.catalog import check_target, default_name
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.deploy_pages import OPTIONS, DraftPage, kind_of
from mljupyter.widgets.pages.size_page import SizePage

_TURN_ON = "ws.compute_targets['local'].enable_ssl(leaf_domain_label='{label}')"
_OFF = "off: requests are not encrypted; they stay on this machine unless its port is made public"
_WAYS = {
    "key": Choice("key", "With a key", "One of two keys in the Authorization header; each can be replaced."),
    "token": Choice("token", "With a token", "Signed by the workspace, and valid for hours; nothing to keep."),
    "none": Choice("none", "Open", "All clients that reach the address may score."),
}


class AccessPage(DraftPage):
    """The kind of web service, authentication and TLS."""

    name = "Access"
    heading = "Who may send requests?"
    about = "You can read the keys and create new ones at any time."
    asks = ("kind", "auth", "port")
    settings = ("auth", "port")

    def enter(self) -> None:
        """Read the present TLS state, and the endpoint if it exists."""
        self._present = self.draft.endpoint()
        session = self.draft.session
        usual = self._present.spec.compute_target if self._present is not None else default_name()
        target = check_target(session.targets(), self.draft.typed.get("to") or usual).serving()
        self._transport = _transport(session.existing()) if target.shares_router else f"as {target.name} is set up"

    def fields(self) -> list[Field]:
        """Return the fields for kind of web service, authentication and TLS."""
        stays = self._stays
        kinds = [
            Choice("aks", "As on a cluster", "Keys, several replicas and versions; behind the router's address."),
            Choice(
                "aci",
                "As a container instance",
                "One replica; without authentication unless you choose a key.",
                reason=stays,
            ),
            Choice(
                "local",
                "For development",
                "Its own port on this machine; without authentication; can be reloaded.",
                reason=stays,
            ),
        ]
        kind = self._kind
        found = [fields.cards("kind", "Kind of web service", kind, kinds)]
        if kind == "local":
            found.append(self.field("port", "Port"))
            if self._now is not None and self._now != "none":  # opening it needs a choice of its own
                chosen = self.draft.typed.get("auth")
                found.append(fields.cards("auth", "Authentication", chosen, [self._way("none")]))
        else:
            usual = self._now or ("key" if kind == "aks" else "none")
            ways = [self._way(name) for name in OPTIONS["auth"].choices]
            found.append(fields.cards("auth", "Authentication", self.draft.typed.get("auth") or usual, ways))
        found.append(fields.summary("transport", "Encryption in transit", [("TLS", self._tls(kind))]))
        if self._can_turn_on:
            found.append(fields.code("turn-on", "Turn it on, for all endpoints of the workspace", self._turn_on))
        return found

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that inserts the code to turn TLS on."""
        if not self._can_turn_on:
            return []
        return [{"key": "insert", "label": "Insert what turns TLS on", "inserts": [self._turn_on]}]

    @property
    def _can_turn_on(self) -> bool:
        return self._kind != "local" and self._transport == _OFF

    @property
    def _turn_on(self) -> str:
        workspace = self.draft.session.workspace_name()
        return "\n".join(
            [
                "from mljupyter.core import Workspace",
                "",
                f"ws = Workspace.get({workspace!r})",
                _TURN_ON.format(label=workspace),
            ]
        )

    def change(self, key: str, value: Any) -> None:
        """Set a value; options that the new kind does not have are removed."""
        super().change(key, value)
        if key == "kind":
            kept = {"local": (), "aci": ("cpu", "memory")}.get(str(value), SizePage.asks)
            for other in ("auth", "port", *(key for key in SizePage.asks if key not in kept)):
                self.draft.typed.pop(other, None)

    @property
    def _kind(self) -> str:
        usual = kind_of(self._present) if self._present is not None else "aks"
        return str(self.draft.typed.get("kind") or usual)

    @property
    def _now(self) -> str | None:
        """The authentication of the existing endpoint; None for a new one."""
        return str(self._present.spec.authentication) if self._present is not None else None

    @property
    def _stays(self) -> str:
        """The reason why an endpoint with versions keeps its kind and its authentication; empty for others."""
        if self._present is None or self._present.spec.kind is not EndpointKind.AKS_ENDPOINT:
            return ""
        return f"{self._present.spec.name!r} is an endpoint with versions, which keeps its kind."

    def _way(self, name: str) -> Choice:
        way = _WAYS.get(name, Choice(name, name))
        if self._present is not None and self._stays and name != self._now:
            endpoint = f"ws.webservices[{self._present.spec.name!r}]"
            reason = f"It holds for all versions: change it with {endpoint}.update(auth_enabled=...)."
            return Choice(way.value, way.label, way.help, reason=reason)
        if name == "token" and self._kind != "aks":
            return Choice(way.value, way.label, way.help, reason="Only for the kind as on a cluster.")
        return way

    def _tls(self, kind: str) -> str:
        if kind == "local":
            return "none: it listens on this machine alone"
        return self._transport


def _transport(workspace: Workspace | None) -> str:
    """Return a description of the router's TLS state, and the solution if it is off."""
    if workspace is None:
        return _OFF
    try:
        tls = Router(workspace).show().spec.tls
    except MLJupyterError as error:
        return f"not known: {error}"
    if tls is None:
        return _OFF
    host = tls.own.host if tls.own is not None else tls.leaf_domain_label
    return f"on for all endpoints of this workspace, certificate for {host}"
