"""Deployments of ``%deploy`` and the wizard: a plan, then its three steps register, build and apply."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mljupyter.build.images.events import OnEvent
from mljupyter.core import Model, Webservice, Workspace, webservice
from mljupyter.core.deployment import check_settings, prepare_version
from mljupyter.deploy.access import openings
from mljupyter.deploy.apply import apply
from mljupyter.deploy.build import build
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.leftovers import Leftovers, discard, expected_leftovers
from mljupyter.deploy.plan import DeploymentPlan, comparable, find, plan_new, size_warning
from mljupyter.deploy.prepare import Prepared
from mljupyter.deploy.redeployment import arguments_of, redeployed_endpoint
from mljupyter.deploy.spec_builder import SOURCE_PROPERTY, merged, new_version
from mljupyter.deploy.wait import done
from mljupyter.engine.endpoints.origin import Content, content_of, origin
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.notebook.code import script_of
from mljupyter.notebook.options.autoscaling import autoscaling
from mljupyter.notebook.options.kept_options import Said, without_record
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.rendered_files import generated_files
from mljupyter.notebook.sources.preparation import Preparation
from mljupyter.notebook.views.views import Text, View
from mljupyter.spec import (
    Authentication,
    EndpointKind,
    EndpointRecord,
    EndpointSpec,
    ModelReference,
    VersionSpec,
    VersionStatus,
)
from mljupyter.spec.difference import leaves, shown
from mljupyter.spec.history import HistoryEntry
from mljupyter.spec.placement import labels_of
from mljupyter.targets.base import Target
from mljupyter.visible import markup, one_line

if TYPE_CHECKING:
    import threading


_DIFFERENT_EVERYWHERE = ("digest", "image", "interpreter", "modelBytes", "port")
"""Fields with values that differ between machines and runs: they are not part of saved notebooks."""

# Option, its argument of deploy_configuration, and the kinds that have it.
_ARGUMENTS = (
    ("replicas", "num_replicas", ("aks",)),
    ("cpu", "cpu_cores", ("aci", "aks")),
    ("memory", "memory_gb", ("aci", "aks")),
    ("gpu", "gpu_cores", ("aks",)),
    ("gpu_resource", "gpu_resource", ("aks",)),
    ("node_selector", "node_selector", ("aks",)),
    ("toleration", "tolerations", ("aks",)),
    ("runtime_class", "runtime_class", ("aks",)),
    ("model_delivery", "model_delivery", ("aks",)),
    ("namespace", "namespace", ("aks",)),
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
    """A deployment: the arguments of `Model.deploy`, and what becomes of the settings of an existing endpoint.

    Parameters:
        workspace, name, models: as for `Model.deploy`.
        preparation: the inference config, and the estimator.
        kind: a key of `CLASSES`.
        settings: the arguments of ``deploy_configuration`` that were given.
        target: the name of the compute target.
        said: the options about an existing endpoint.

    """

    workspace: Workspace
    name: str
    models: list[Model]
    preparation: Preparation
    kind: str
    settings: dict[str, Any]
    target: str
    said: Said = field(default=Said(), kw_only=True)

    @property
    def planned_models(self) -> list[Model | ModelReference]:
        """The models; for an estimator, the reference that it will get."""
        estimator = self.preparation.estimator
        return [*self.models, *([estimator.reference] if estimator is not None else [])]

    def configuration(self) -> Any:
        """Return the deployment configuration of the SDK."""
        return getattr(webservice, CLASSES[self.kind]).deploy_configuration(**self.settings)

    def plan(self) -> Plan:
        """Return the changes of the deployment. This stores the files of the script and does nothing else.

        Raises:
            WebserviceException: a value breaks a rule.

        """
        present = self.present()
        if present is not None and present.spec.kind == "AKSENDPOINT":
            raise WrongInputError(
                f"{self.name!r} is an endpoint with the versions {', '.join(sorted(present.spec.versions))}: "
                "say which one with --version, or give a new one's name."
            )
        configuration, context = self.configuration(), self.workspace.context
        with as_webservice_exception(), context.artifacts.hold():
            target = context.target(self.target)
            before = present.spec.versions[present.spec.default_version] if present is not None else None
            stays = present is not None and present.spec.compute_target == self.target
            prepared = self.prepared(configuration.kind, target, before, keeps_delivery=stays)
            if present is None:
                plan = plan_new(context, self.name, configuration, prepared)
            else:
                plan = self._redeployed(present, configuration, prepared)
        wanted = self.noted(plan.wanted, plan.wanted.default_version)
        return Plan(replace(plan, wanted=wanted), self.files(wanted.versions[wanted.default_version]), self.history)

    def _redeployed(self, present: EndpointRecord, configuration: Any, prepared: Prepared) -> DeploymentPlan:
        """Return the plan of an existing endpoint, which keeps the settings that are not given."""
        wanted = redeployed_endpoint(
            present.spec,
            configuration,
            prepared.expected(self.workspace.context),
            target=self.target,
            reset=self.said.reset,
            remove_tls=self.said.remove_tls,
        )
        refuse_silent_opening(present.spec, wanted, is_open=self.said.is_open, remove_tls=self.said.remove_tls)
        return DeploymentPlan(wanted, present, {wanted.default_version: prepared})

    def noted(self, spec: EndpointSpec, name: str) -> EndpointSpec:
        """Return an endpoint one of whose versions records the options of its content."""
        version = spec.versions[name]
        properties = {**without_record(version.properties), **self.said.recorded}
        return merged(spec, versions={**spec.versions, name: version.model_copy(update={"properties": properties})})

    def prepared(
        self, kind: EndpointKind, target: Target, present: VersionSpec | None = None, *, keeps_delivery: bool = True
    ) -> Prepared:
        """Store the content of the version, and return it.

        Without an option, models are delivered as those of the present version, and its environment variables stay;
        those of the new environment are added to them.
        """
        before = present.model_delivery if present is not None and keeps_delivery else None
        found = prepare_version(
            self.workspace,
            self.planned_models,
            self.preparation.config,
            kind=kind,
            service=self.name,
            target=target,
            delivery=self.settings.get("model_delivery") or (None if "model_delivery" in self.said.reset else before),
        )
        if present is None or "environment_variables" in self.said.reset:
            return found
        variables = {**present.environment_variables, **found.content.environment_variables}
        return replace(found, content=replace(found.content, environment_variables=variables))

    def files(self, version: VersionSpec) -> dict[str, str]:
        """Return the generated files."""
        return generated_files(self.preparation.estimator, self.preparation.config, version, self.name)

    def present(self) -> EndpointRecord | None:
        """Return the endpoint of this name, if there is one."""
        return find(self.workspace.context, self.name)

    def leftovers(self, plan: Plan) -> Leftovers:
        """Return what this deployment will register and nobody else has asked for; call it before `register`."""
        estimator = self.preparation.estimator
        models = [estimator.reference.id] if estimator is not None else []
        return expected_leftovers(self.workspace.context, plan.wanted, models)

    def discard(self, leftovers: Leftovers) -> str:
        """Delete what a deployment that did not come about has registered, and return one sentence about it.

        What the endpoint uses stays, and is named with the line that deletes it. The sentence may be empty.
        """
        deleted, kept = discard(self.workspace.context, leftovers)
        sentences = [f"Deleted: {', '.join(deleted)}."] if deleted else []
        if models := [item.removeprefix("model ") for item in kept if item.startswith("model ")]:
            sentences.append(f"To delete its model too: %undeploy {self.name}, then %models delete {' '.join(models)}")
        return " ".join(sentences)

    def history(self) -> Sequence[HistoryEntry]:
        """Return the history of the endpoint of this name, the oldest entry first."""
        with as_webservice_exception():
            return self.workspace.endpoints.history(self.name)

    @property
    def deployed_version(self) -> str | None:
        """The version that is deployed; None for the default version."""
        return None

    def deploy(self, plan: Plan, on_event: OnEvent | None = None) -> Webservice:
        """Create or change the endpoint; the old state serves until the new one is ready.

        Parameters:
            plan: the plan.
            on_event: called with stages and log lines of a build, from any thread.

        """
        return self.apply(self.build(self.register(plan), on_event))

    def register(self, plan: Plan) -> Plan:
        """Do the first step: register the estimator and store its script, if there are any.

        Raises:
            WebserviceException: another version of the model was registered since the plan was made.

        """
        self.check_settings()
        estimator = self.preparation.estimator
        if estimator is None:
            return plan
        (model,), config = self.preparation.register()
        if model.reference != estimator.reference:
            raise WebserviceException(
                f"The estimator was planned as {estimator.reference.id} and is registered as {model.id}: another model "
                "was registered concurrently. Nothing was deployed. Deploy it again."
            )
        if config is None or SOURCE_PROPERTY not in plan.wanted.properties:
            return plan
        properties = {**plan.wanted.properties, SOURCE_PROPERTY: str(config.source_path)}
        wanted = plan.wanted.model_copy(update={"properties": properties})
        return Plan(replace(plan.deployment, wanted=wanted), plan.files, plan.history)

    def check_settings(self) -> None:
        """Check the settings, and print those that have no effect on the target."""
        with as_webservice_exception():
            check_settings(self.workspace, self.name, self.configuration(), self.workspace.context.target(self.target))

    def build(self, plan: Plan, on_event: OnEvent | None = None, cancel: threading.Event | None = None) -> Plan:
        """Do the second step: build the missing environments and images.

        Parameters:
            plan: the plan.
            on_event: called with stages and log lines, from any thread.
            cancel: set it to end the build.

        Raises:
            MLJupyterError: `BuildCancelledError`, or the build fails.

        """
        if warning := size_warning(plan.wanted, self.workspace.artifacts):
            print(warning)
        return Plan(
            build(self.workspace.context, plan.deployment, on_event=on_event, cancel=cancel), plan.files, plan.history
        )

    def apply(self, plan: Plan) -> Webservice:
        """Do the last step: create or change the endpoint on the control plane of its target.

        Raises:
            WebserviceException: the endpoint was changed since the plan was made; then it stays unchanged.

        """
        with as_webservice_exception():
            record = apply(self.workspace.context, plan.deployment, overwrite=plan.present is not None)
            return Webservice.from_record(self.workspace, record, replaced=record.generation > 1)

    def service(self) -> Webservice:
        """Return the web service that exists."""
        return self.workspace.webservices[self.name]

    def code(self) -> str:
        """Return the equivalent Python code."""
        return script_of(
            self.workspace, [*self.preparation.code, *self.steps(), "service.wait_for_deployment(show_output=True)"]
        )

    def steps(self) -> list[str]:
        """Return the lines of `code` that differ between kinds of deployment."""
        return [
            f"deployment_config = {CLASSES[self.kind]}.deploy_configuration({_arguments(self._all_settings())})",
            "service = Model.deploy(",
            f"    ws, {self.name!r}, {self.models_code()}, inference_config, deployment_config,",
            f"    deployment_target=ws.compute_targets[{self.target!r}], overwrite=True,",
            ")",
        ]

    def _all_settings(self) -> dict[str, Any]:
        """Return the settings, with those that an existing endpoint keeps: `Model.deploy` replaces it."""
        present = self.present()
        if present is None:
            return self.settings
        version = present.spec.versions[present.spec.default_version]
        content = VersionContent(code=version.code, image=version.image, no_code=version.no_code, models=version.models)
        wanted = redeployed_endpoint(
            present.spec, self.configuration(), content, target=self.target, reset=self.said.reset
        )
        factory = getattr(webservice, CLASSES[self.kind]).deploy_configuration
        version, default = wanted.versions[wanted.default_version], new_version(factory(), content)
        kept = arguments_of(version, default)
        if wanted.authentication is Authentication.TOKEN:
            kept |= {"auth_enabled": False, "token_auth_enabled": True}
        elif self.kind != "local":
            kept |= {"auth_enabled": wanted.authentication is Authentication.KEY}
        allowed = inspect.signature(factory).parameters
        return {**{name: value for name, value in kept.items() if name in allowed}, **self.settings}

    def models_code(self) -> str:
        """Return the models as Python."""
        codes = [f"Model(ws, {model.name!r}, version={model.version})" for model in self.models]
        return f"[{', '.join([*codes, *(['model'] if self.preparation.estimator is not None else [])])}]"


def _arguments(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def refuse_silent_opening(present: EndpointSpec, wanted: EndpointSpec, *, is_open: bool, remove_tls: bool) -> None:
    """Refuse a deployment that opens an endpoint without the words for it.

    Parameters:
        present, wanted: the endpoint before and after.
        is_open: whether ``--auth none`` is given.
        remove_tls: whether ``--remove-tls`` is given.

    Raises:
        WrongInputError: authentication or TLS would be turned off only as a consequence of another option.

    """
    name, kind, local = present.name, str(wanted.kind).lower(), wanted.kind is EndpointKind.LOCAL
    opens = wanted.authentication is Authentication.NONE and present.authentication is not Authentication.NONE
    if opens and not is_open:
        reason = f"--kind {kind} has no authentication" if local else f"the default of --kind {kind} is none"
        keep = "deploy it under another name" if local else f"keep it with --auth {present.authentication}"
        raise WrongInputError(
            f"{name!r} has {present.authentication} authentication, and {reason}: all clients that reach it could "
            f"score.\nIf you want that, add --auth none; otherwise {keep}."
        )
    if local and wanted.tls is not None and not remove_tls:
        raise WrongInputError(
            f"{name!r} has a certificate for {wanted.tls.host}, and --kind local has no TLS: requests would not be "
            "encrypted.\nIf you want that, add --remove-tls; otherwise deploy it under another name."
        )


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``deploy_configuration`` for the options.

    Raises:
        WrongInputError: an option does not exist for this kind of web service.

    """
    kind = values["kind"]
    settings: dict[str, Any] = {}
    for option, argument, kinds in _ARGUMENTS:
        value = values[option]
        if value is None or value == []:
            continue
        if kind not in kinds:
            raise WrongInputError(
                f"--{option.replace('_', '-')} is not available with --kind {kind}: only with {' and '.join(kinds)}."
            )
        settings[argument] = labels_of(value) if option == "node_selector" else value
    return settings | autoscaling(values) | _authentication(kind, values["auth"])


def _authentication(kind: str, auth: str | None) -> dict[str, bool]:
    """Return the arguments of a deployment configuration for ``--auth``."""
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
    """A deployment plan as the result of ``%deploy --dry-run``.

    Parameters:
        deployment: the plan.
        files: the generated files, by name.
        history: returns the history of the present endpoint, the oldest entry first.

    """

    def __init__(
        self,
        deployment: DeploymentPlan,
        files: Mapping[str, str] | None = None,
        history: Callable[[], Sequence[HistoryEntry]] = tuple,
    ) -> None:
        self.deployment = deployment
        self.history = history
        self.files = dict(files or {})
        self.wanted, self.present = deployment.wanted, deployment.present
        self.changes, self.action = deployment.changes, deployment.action

    @property
    def settled_as(self) -> str | None:
        """The state of the present endpoint; None while it is changing."""
        return str(self.present.status.state) if self.present is not None and done(self.present) else None

    def text(self) -> str:
        """Return the plan and the generated files."""
        files = [f"\n--- {name}\n{text.rstrip()}" for name, text in self.files.items()]
        return "\n".join([self.summary(), *files])

    def html(self) -> str:
        """Return the plan with its files collapsed."""
        files = [
            f"<details><summary>{markup(name)}</summary>{Text(text).html()}</details>"
            for name, text in self.files.items()
        ]
        return "".join([Text(self.summary()).html(), *files])

    @property
    def warnings(self) -> list[str]:
        """A sentence for each protection that the present endpoint loses."""
        return openings(self.present.spec, self.wanted) if self.present is not None else []

    def change_lines(self) -> list[str]:
        """Return one line for each field of the present endpoint that changes."""
        return [
            f"{one_line(path)}: {shown(path, before)} → {shown(path, after)}" for path, before, after in self.changes
        ]

    def told_lines(self) -> list[str]:
        """Return the lines of `change_lines` without values that differ between machines, and with whole versions as
        one line.
        """
        before = self.present.spec.versions if self.present is not None else {}
        after = self.wanted.versions
        moved = dict.fromkeys(before.keys() - after, "removed") | dict.fromkeys(after.keys() - before, "added")
        found = [f"versions.{one_line(name)}: {how}" for name, how in sorted(moved.items())]
        for path, old, new in self.changes:
            if path.startswith(tuple(f"versions.{name}." for name in moved)):
                continue
            if path.rpartition(".")[2] in _DIFFERENT_EVERYWHERE:
                found.append(f"{one_line(path)}: changed")
            else:
                found.append(f"{one_line(path)}: {shown(path, old)} → {shown(path, new)}")
        return found

    def replaced(self, version: str, known: Content | None = None) -> str:
        """Return a line about the content that is replaced: what, by whom and when; empty if there is none, or if it
        is known.

        Parameters:
            version: the name of the version that is deployed.
            known: the content that this process gave it last, see `content_of`.

        """
        if self.present is None or self.action != "update":
            return ""
        content = content_of(self.present.spec, version)
        if content is None or content == known:
            return ""
        served = self.present.spec.versions[version]
        what = ", ".join(model.id for model in served.models)
        what = what or (served.code.entry_script if served.code is not None else str(served.image))
        entry = origin(self.history(), self.present.spec, version)
        if entry is None:
            return f"replaces {what}"
        who = f"deployed by {entry.user or 'unknown'} at {entry.time:%Y-%m-%d %H:%M:%S} UTC"
        return f"replaces {what}, {who} (entry {entry.number} of %mlj history {self.wanted.name})"

    def standing(self) -> str:
        """Return a line about what serves now and would be replaced or removed; empty if all content stays.

        Example:
            ``replaces diabetes (version v1, 2 replicas)``

        """
        if self.present is None:
            return ""
        before, after = self.present.spec, self.wanted
        versions = [name for name in sorted(before.versions) if content_of(before, name) != content_of(after, name)]
        if not versions:
            return ""
        ready = sum(self.present.status.versions.get(name, VersionStatus()).replicas_ready for name in versions)
        count = f"{ready} {'replica' if ready == 1 else 'replicas'}"
        if list(before.versions) == [before.name]:  # a web service, whose version has no name of its own
            return f"replaces {before.name} ({count})"
        return f"replaces {before.name} (version{'s' if len(versions) > 1 else ''} {', '.join(versions)}, {count})"

    def summary(self) -> str:
        """Return one line, then what is replaced, then one line for each field that changes."""
        lines = [f"{self.wanted.name} → {self.wanted.compute_target}: {self.action} (dry run, nothing done)"]
        if self.action == "create":
            lines += [f"  {one_line(path)} = {shown(path, value)}" for path, value in leaves(comparable(self.wanted))]
        lines += [f"  {line}" for line in (self.standing(), *self.change_lines()) if line]
        return "\n".join([*lines, *(f"Warning: {text}" for text in self.warnings)])
