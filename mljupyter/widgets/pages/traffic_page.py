"""Page of the deploy wizard for a version's traffic share."""

from __future__ import annotations

from typing import Any

from mljupyter.notebook.options.command_line import values_of
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.pages.deploy_pages import OPTIONS, DraftPage

_NAMELESS = "Empty for an endpoint that will always have one version; with a name, others can be added later."


class TrafficPage(DraftPage):
    """Page for the share of a new version of an existing endpoint."""

    name = "Traffic"
    heading = "Which part of the requests should it get?"
    asks = ("version", "traffic")
    settings = ("version", "traffic")

    def enter(self) -> None:
        """Read the other versions of the endpoint."""
        present = self.draft.endpoint()
        self._present = present if present is not None and present.spec.kind == "AKSENDPOINT" else None
        self._taken = present is not None and self._present is None
        self._kind = str(self.draft.typed.get("kind") or "aks")
        self._one_version = self._taken or self._kind != "aks"
        if self._one_version:
            self.draft.typed.pop("version", None)
            self.draft.typed.pop("traffic", None)
        if self._present is not None:
            number = len(self._present.spec.versions) + 1
            self.draft.typed.setdefault("version", f"version-{number}")
            self.draft.typed.setdefault("traffic", "0")

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the existing endpoint."""
        if self._present is not None:
            there = ", ".join(self._present.spec.versions)
            return f"{self._present.spec.name!r} has the versions {there}. A new one can start with no traffic at all."
        if self._taken:
            return "An endpoint of this name exists: it is updated, and keeps its address and its keys."
        if self._one_version:
            return "A web service of this kind has one version, which gets all requests."
        return "A new endpoint sends all requests to its first version."

    def errors(self) -> dict[str, str]:
        """Also refuse a share that the other versions do not leave."""
        found, asked = super().errors(), values_of([OPTIONS["traffic"]], self.draft.typed)[0].get("traffic") or 0
        if self._present is not None and not found and asked > (room := self._room()):
            found["traffic"] = (
                f"{asked} % is too much: the versions beside {self._present.spec.default_version!r}, the default, have "
                f"{100 - room} %. Choose at most {room} %, or lower their shares first: %traffic."
            )
        return found

    def _room(self) -> int:
        """Return the largest share that the new version can have."""
        assert self._present is not None  # noqa: S101 - called only for an endpoint that exists
        spec, mine = self._present.spec, str(self.draft.typed.get("version", ""))
        kept = (version for name, version in spec.versions.items() if name not in (mine, spec.default_version))
        return max(0, 100 - sum(version.traffic_percentile or 0 for version in kept))

    def fields(self) -> list[Field]:
        """Return the fields for the version's name and share."""
        if self._one_version:
            return []
        about = "Lower-case letters, digits and '-'." if self._present is not None else _NAMELESS
        found = [{**self.field("version", "Name of the version"), "help": about, "placeholder": "version-a"}]
        if self._present is None:
            return found
        spec = self._present.spec
        mine = str(self.draft.typed.get("version", ""))
        shares = {name: version.traffic_percentile or 0 for name, version in spec.versions.items() if name != mine}
        asked = values_of([OPTIONS["traffic"]], self.draft.typed)[0].get("traffic") or 0
        if mine == spec.default_version:
            return found
        others = sum(share for name, share in shares.items() if name != spec.default_version)
        percent = max(0, min(asked, 100 - others))
        shares[spec.default_version] = 100 - others - percent
        percentiles = {**shares, mine or "new": percent}
        return [*found, fields.split("traffic", "Shares in percent", percentiles, spec.default_version, fixed=shares)]

    def change(self, key: str, value: Any) -> None:
        """Set the new version's share; those of other versions are changed with %traffic."""
        if key == "traffic" and isinstance(value, dict):
            if value.get("name") != self.draft.typed.get("version"):
                return
            value = str(fields.percent_of(value))
        super().change(key, value)
