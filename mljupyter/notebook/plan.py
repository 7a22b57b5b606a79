"""What ``%deploy`` is going to do, worked out before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mljupyter.notebook.code import script_of
from mljupyter.notebook.options.autoscaling import autoscaling
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.views import Text, View
from mljupyter.visible import markup, one_line

if TYPE_CHECKING:
    from mljupyter.core import Model, Webservice, Workspace
    from mljupyter.core.webservice.translate import Served
    from mljupyter.notebook.sources.preparation import Preparation
    from mljupyter.spec import EndpointRecord, EndpointSpec, ModelReference

# Option, the argument of deploy_configuration it becomes, and the kinds that have it.
_ARGUMENTS = (
    ("replicas", "num_replicas", ("aks",)),
    ("cpu", "cpu_cores", ("aci", "aks")),
    ("memory", "memory_gb", ("aci", "aks")),
    ("max_concurrent_requests", "replica_max_concurrent_requests", ("aks",)),
    ("max_queue_wait_ms", "max_request_wait_time", ("aks",)),
    ("port", "port", ("local",)),
    ("batching", "batching", ("local", "aci", "aks")),
    ("preload", "preload", ("local", "aci", "aks")),
)
CLASSES = {
    "local": "LocalWebservice",
    "aci": "AciWebservice",
    "aks": "AksWebservice",
    "endpoint": "AksEndpoint",
}


@dataclass(frozen=True)
class Deployment:
    """A deployment in the terms of the SDK: all arguments of `Model.deploy`."""

    workspace: Workspace
    name: str
    models: list[Model]
    preparation: Preparation
    kind: str
    settings: dict[str, Any]
    target: str

    @property
    def planned_models(self) -> list[Model | ModelReference]:
        """The models, that of an estimator as it would be registered."""
        estimator = self.preparation.estimator
        return [*self.models, *([estimator.reference] if estimator is not None else [])]

    def configuration(self) -> Any:
        """Return the deployment configuration of the SDK."""
        from mljupyter.core import webservice

        return getattr(webservice, CLASSES[self.kind]).deploy_configuration(**self.settings)

    def plan(self) -> Plan:
        """Return what deploying would change. The scoring script's files are stored; nothing else is done.

        Raises:
            WebserviceException: something asked for breaks a rule.

        """
        from mljupyter.core.deployment import what_is_served
        from mljupyter.core.webservice.translate import new_endpoint
        from mljupyter.exceptions import as_webservice_exception

        target = self.workspace.context.target(self.target)
        configuration = self.configuration()
        with as_webservice_exception(), self.workspace.artifacts.hold():
            served = what_is_served(
                self.workspace,
                self.planned_models,
                self.preparation.config,
                kind=configuration.kind,
                service=self.name,
                target=target,
                build=False,
            )
            wanted = new_endpoint(self.name, configuration, served, target=self.target)
        present = self.present()
        if present is not None and present.spec.kind == "AKSENDPOINT":
            raise WrongInputError(
                f"{self.name!r} is an endpoint with the versions {', '.join(sorted(present.spec.versions))}: "
                "say which one with --version, or give a new one's name."
            )
        return Plan(wanted, present, self.files(served))

    def files(self, served: Served) -> dict[str, str]:
        """Return the files that deploying writes by itself."""
        from mljupyter.notebook.rendered_files import generated_files

        return generated_files(self.preparation.estimator, self.preparation.config, served, self.name)

    def present(self) -> EndpointRecord | None:
        """Return the endpoint of this name, if there is one."""
        records = self.workspace.endpoint_records()
        return next((record for record in records if record.spec.name == self.name), None)

    def deploy(self, plan: Plan) -> Webservice:
        """Create the endpoint or bring it to what is wanted; the old state serves until the new one does.

        What a line of ``%deploy`` cannot say, tags and description, stays as it is.
        """
        from mljupyter.core import Model

        configuration = self.configuration()
        if plan.present is not None:
            configuration.tags = dict(plan.present.spec.tags)
            configuration.description = plan.present.spec.description
        target = self.workspace.compute_targets[self.target]
        registered, config = self.preparation.carried_out()
        return Model.deploy(
            self.workspace,
            self.name,
            [*self.models, *registered],
            config,
            configuration,
            deployment_target=target,
            overwrite=True,
        )

    def service(self) -> Webservice:
        """Return the web service that exists."""
        return self.workspace.webservices[self.name]

    def code(self) -> str:
        """Return the Python that does the same."""
        return script_of(
            self.workspace, [*self.preparation.code, *self.steps(), "service.wait_for_deployment(show_output=True)"]
        )

    def steps(self) -> list[str]:
        """Return the lines of `code` that differ between kinds of deployment."""
        return [
            f"deployment_config = {CLASSES[self.kind]}.deploy_configuration({_arguments(self.settings)})",
            "service = Model.deploy(",
            f"    ws, {self.name!r}, {self.models_code()}, inference_config, deployment_config,",
            f"    deployment_target=ws.compute_targets[{self.target!r}], overwrite=True,",
            ")",
        ]

    def models_code(self) -> str:
        """Return the models as Python."""
        codes = [f"Model(ws, {model.name!r}, version={model.version})" for model in self.models]
        return f"[{', '.join([*codes, *(['model'] if self.preparation.estimator is not None else [])])}]"


def _arguments(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``deploy_configuration`` that the options ask for.

    Raises:
        WrongInputError: an option does not exist for this kind of web service.

    """
    kind = values["kind"]
    settings: dict[str, Any] = {}
    for option, argument, kinds in _ARGUMENTS:
        value = values[option]
        if value is None:
            continue
        if kind not in kinds:
            raise WrongInputError(
                f"--{option.replace('_', '-')} is not available with --kind {kind}: only with {' and '.join(kinds)}."
            )
        settings[argument] = value
    return settings | autoscaling(values) | _authentication(kind, values["auth"])


def _authentication(kind: str, auth: str | None) -> dict[str, bool]:
    """Return the arguments of a deployment configuration that ``--auth`` stands for."""
    if kind == "local" and auth in ("key", "token"):
        raise WrongInputError(f"--auth {auth} is not available with --kind local: it listens on this machine alone.")
    if kind == "local" or auth is None:
        return {}
    if auth != "token":
        return {"auth_enabled": auth == "key"}
    if kind != "aks":
        raise WrongInputError(f"--auth token is not available with --kind {kind}: only with aks.")
    return {"auth_enabled": False, "token_auth_enabled": True}


class Plan(View):
    """What would change: the result of ``%deploy --dry-run``."""

    def __init__(
        self,
        wanted: EndpointSpec,
        present: EndpointRecord | None,
        files: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.wanted = wanted
        self.present = present
        self.files = dict(files or {})
        self.changes = changes(present.spec, wanted, whole=whole) if present is not None else []
        self.action = "create" if present is None else "update" if self.changes else "unchanged"

    @property
    def settled_as(self) -> str | None:
        """The state of what is there, or None while it is on its way to another one."""
        from mljupyter.core.webservice.observing import done

        return str(self.present.status.state) if self.present is not None and done(self.present) else None

    def text(self) -> str:
        """Return the plan, then the files that would be written."""
        files = [f"\n--- {name}\n{text.rstrip()}" for name, text in self.files.items()]
        return "\n".join([self.summary(), *files])

    def html(self) -> str:
        """Return the plan, its files folded."""
        files = [
            f"<details><summary>{markup(name)}</summary>{Text(text).html()}</details>"
            for name, text in self.files.items()
        ]
        return "".join([Text(self.summary()).html(), *files])

    def summary(self) -> str:
        """Return one line, then one line for each field that changes."""
        from mljupyter.spec.difference import leaves, shown

        lines = [f"{self.wanted.name} → {self.wanted.compute_target}: {self.action} (dry run, nothing done)"]
        if self.action == "create":
            lines += [f"  {one_line(path)} = {shown(path, value)}" for path, value in leaves(_comparable(self.wanted))]
        lines += [
            f"  {one_line(path)}: {shown(path, before)} → {shown(path, after)}" for path, before, after in self.changes
        ]
        return "\n".join(lines)


def changes(present: EndpointSpec, wanted: EndpointSpec, *, whole: bool = False) -> list[tuple[str, Any, Any]]:
    """Return each field that differs: its path, the value it has, the value it will have.

    Parameters:
        present, wanted: what is there, and what is to be.
        whole: whether `wanted` decides everything; else a line of ``%deploy``, which leaves some fields alone.

    """
    from mljupyter.spec.difference import differences

    before, after = _comparable(present, whole), _comparable(wanted, whole)
    if wanted.port is None and wanted.kind is present.kind:
        before.pop("port", None)  # chosen by the controller, and kept by it
    return differences(before, after)


def _comparable(spec: EndpointSpec, whole: bool = False) -> dict[str, Any]:
    """Leave out what a line of ``%deploy`` does not decide, and what a document cannot know."""
    document = spec.document()
    for key in ("createdBy", "properties", *(() if whole else ("description", "tags"))):
        document.pop(key, None)
    for version in document["versions"].values():
        version.pop("reload", None)
        version.pop("imageId", None)
    return document
