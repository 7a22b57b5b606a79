"""Page of the deploy wizard with the plan, before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mljupyter.errors import MLJupyterError
from mljupyter.notebook.deployment import deployment_of
from mljupyter.notebook.options.command_line import line_of, values_of
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS, RESETTABLE
from mljupyter.notebook.options.option import TOLD
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.spec import EndpointSpec, VersionSpec
from mljupyter.spec.difference import masked, shown
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.pages.deploy_pages import DraftPage

FILES = {"score.py": "Generated scoring script", "Dockerfile": "Generated Dockerfile"}
_SHOWN_DIGITS = 12
_RESET, _REMOVE_TLS = "reset ", "remove_tls"
_AUTHENTICATION = {"key": "with a key", "token": "with a token", "none": "open to everybody who reaches the address"}


class ReviewPage(DraftPage):
    """Page with a summary or the differences, the line, the Python code and the files."""

    name = "Review"
    heading = "Is this what you want?"
    about = "Nothing has been done so far. The line below does the same in every notebook: insert it, and keep it."
    next_label = "Deploy now"
    asks = ()
    _resets: list[Field]

    def enter(self) -> None:
        """Make the plan."""
        self.plan: Plan | None = None
        self._problem = ""
        self.deployment: Deployment | None = None
        self._replaces, self._resets = "", []
        self._keep_chosen(set(self._chosen))
        values, errors = values_of(DEPLOYMENT_OPTIONS, self.draft.typed)
        if errors:
            self._problem = "\n".join(f"{key}: {text}" for key, text in errors.items())
            return
        if self.draft.is_elsewhere:
            return  # its kernel makes the plan
        try:
            values[TOLD] = self.draft.told
            self.deployment = deployment_of(self.draft.session, self.draft.namespace, values)
            self._resets = self._resets_of(self.deployment)
            self.plan = self.deployment.plan()
            self._replaces = self.deployment.replaced(self.plan, self.draft.session.deployed)
        except MLJupyterError as error:
            self._problem = str(error)

    def change(self, key: str, value: Any) -> None:
        """Return a setting to its default, or remove the certificate; the plan is made again."""
        if (name := key.removeprefix(_RESET)) in RESETTABLE:
            self._keep_chosen({*self._chosen, name} if value else {*self._chosen} - {name})
        elif key == _REMOVE_TLS:
            self.draft.typed[key] = bool(value)
        self.enter()

    @property
    def _chosen(self) -> list[str]:
        """The settings that return to their defaults."""
        return list(self.draft.typed.get("reset") or [])

    def _keep_chosen(self, names: set[str]) -> None:
        """Let settings return to their defaults, except for those that another page has set since."""
        told = {key.replace("_", "-") for key in self.draft.told}
        self.draft.typed["reset"] = [name for name in RESETTABLE if name in names - told]

    @property
    def line(self) -> str:
        """The equivalent line of `%deploy`."""
        return line_of("deploy", DEPLOYMENT_OPTIONS, self.draft.typed, explicit=self.draft.explicit)

    def fields(self) -> list[Field]:
        """Return plan, line, Python code and files."""
        line = fields.code("line", "Equivalent magic", self.line)
        if self.draft.is_elsewhere:
            there = f"{self.draft.typed['estimator']}, in the kernel of {self.draft.lives_in}"
            where = [("Estimator", self.draft.lost or there)]
            return [fields.summary("where", "The notebook deploys it", where), line]
        if self.plan is None or self.deployment is None:
            return [fields.code("problem", "Problems to fix", self._problem), *self._resets, line]
        found = [
            _described(self.plan),
            *self._resets,
            line,
            fields.code("python", "Equivalent Python code", self.deployment.code(), folded=True),
        ]
        if self._replaces:
            found.insert(1, fields.code("replaced", "What is replaced", self._replaces))
        if self.plan.warnings:
            found.insert(1, fields.code("warning", "Warning", "\n".join(self.plan.warnings)))
        for name, text in self.plan.files.items():
            found.append(fields.code(f"file-{name}", FILES.get(name, name), text, folded=True))
        return [*found, fields.code("specification", "The specification", _yaml(self.plan.wanted), folded=True)]

    def _resets_of(self, deployment: Deployment) -> list[Field]:
        """Return a box for each setting that the endpoint keeps and that can return to its default."""
        present = deployment.present()
        if present is None:
            return []
        told = self.draft.told
        found = [
            fields.check(f"{_RESET}{name}", f"Return {name} to its default", name in self._chosen, about=_change(rows))
            for name, rows in deployment.resettable().items()
            if name.replace("-", "_") not in told
        ]
        if present.spec.tls is not None and deployment.deployed_version is None:
            is_chosen = bool(self.draft.typed.get(_REMOVE_TLS))
            about = "Then this endpoint has no encryption of its own."
            found.append(fields.check(_REMOVE_TLS, "Remove its own certificate", is_chosen, about=about))
        return found

    def blocked(self) -> str:
        """Return the reason why the deployment is not possible."""
        if self.draft.lost:
            return self.draft.lost
        if place := self.draft.lives_in:
            return f"The estimator is in the kernel of {place}: insert the line there, and run it."
        return "Go back and correct the problem." if self._problem else ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that inserts the line."""
        return [{"key": "insert", "label": "Insert the line below", "inserts": [self.line]}]


def _change(rows: Iterable[tuple[str, Any, Any]]) -> str:
    """Return what a return to the default changes, as a line."""
    return ", ".join(f"{path}: {shown(path, now)} → {shown(path, default)}" for path, now, default in rows)


def _described(plan: Plan) -> Field:
    """Return a description of a plan: a summary of a new endpoint, the differences of an existing one."""
    if plan.action == "create":
        return fields.summary("plan", "A new endpoint is created", summary_of(plan.wanted))
    state = f" (it is {plan.settled_as} now)" if plan.settled_as else ""
    if plan.action == "unchanged":
        return fields.summary("plan", f"Nothing changes{state}", summary_of(plan.wanted))
    rows = [[path, _short(old), _short(new)] for path, old, new in plan.changes]
    return fields.table("plan", f"The endpoint is changed{state}", ["Field", "Now", "Then"], rows)


def summary_of(spec: EndpointSpec) -> list[tuple[str, str]]:
    """Return a summary of an endpoint before its creation: terms with their descriptions."""
    version = spec.versions[spec.default_version]
    rows = [
        ("Name", spec.name),
        ("Where", f"{spec.compute_target}, in {'containers' if version.image else 'processes'}"),
        ("Models", ", ".join(model.id for model in version.models) or "none"),
        ("Script", _script(version)),
        ("Replicas", _replicas(version)),
        ("Each replica", f"{version.resources.cpu:g} cores, {version.resources.memory_in_gb:g} GB"),
        ("Requests", _limits(version)),
        ("Who may score", _AUTHENTICATION.get(str(spec.authentication), str(spec.authentication))),
    ]
    if version.image:
        rows.insert(4, ("Image", version.image))
    if spec.default_version != spec.name:
        rows.insert(1, ("Version", spec.default_version))
    return rows


def _script(version: VersionSpec) -> str:
    if version.no_code is not None:
        return f"none: the model is served by {version.no_code}"
    return version.code.entry_script if version.code else "that of the image"


def _replicas(version: VersionSpec) -> str:
    policy = version.scaling.autoscale
    if policy is None:
        return str(version.scaling.initial_replicas)
    bounds = f"{policy.min_replicas} to {policy.max_replicas}"
    return f"{bounds}, following the load: {policy.target_utilization} % of them busy"


def _limits(version: VersionSpec) -> str:
    limits = version.limits
    at_once = limits.max_concurrent_requests
    return (
        f"{at_once} at a time in each replica; a request waits {limits.max_queue_wait_ms:g} ms and runs "
        f"{limits.scoring_timeout_ms / 1000:g} s at most"
    )


def _yaml(spec: EndpointSpec) -> str:
    import yaml

    return str(yaml.safe_dump(masked(spec.document()), sort_keys=False))


def _short(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = ", ".join(map(str, value))
    text = str(value)
    return text[: len("sha256:") + _SHOWN_DIGITS] if text.startswith("sha256:") else text
