"""``%%deploy`` with a specification in the cell: names become references, and the line overrides the cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.core import Webservice
from mljupyter.core.deployment import prepare_version, target_of
from mljupyter.deploy.access import OPEN_IN_WORDS, with_access_of
from mljupyter.deploy.configuration_rules import DELIVERIES
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.plan import DeploymentPlan, check_content
from mljupyter.deploy.prepare import Prepared
from mljupyter.exceptions import as_webservice_exception
from mljupyter.notebook.code import script_of
from mljupyter.notebook.options.cell_body import Document
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import GIVEN
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.plan import Deployment, Plan
from mljupyter.notebook.rendered_files import generated_files
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.environments import environment_named
from mljupyter.notebook.sources.inference import registered_models, scoring_config
from mljupyter.notebook.sources.preparation import Preparation
from mljupyter.spec import EndpointKind, EndpointSpec, SpecError, Toleration
from mljupyter.spec.placement import labels_of
from mljupyter.targets.catalog import default_name

# The field for each option of the line, in the endpoint or in one of its versions.
_ENDPOINT = {"to": ("computeTarget",), "auth": ("authentication",), "port": ("port",)}
_VERSION: dict[str, tuple[str, ...]] = {
    "model": ("models",),
    "score": ("code",),
    "replicas": ("scaling", "replicas"),
    "cpu": ("resources", "cpu"),
    "memory": ("resources", "memoryInGB"),
    "gpu": ("resources", "gpu"),
    "gpu_resource": ("resources", "gpuResource"),
    "node_selector": ("placement", "nodeSelector"),
    "toleration": ("placement", "tolerations"),
    "runtime_class": ("placement", "runtimeClass"),
    "model_delivery": ("modelDelivery",),
    "namespace": ("placement", "namespace"),
    "max_concurrent_requests": ("limits", "maxConcurrentRequests"),
    "max_queue_wait_ms": ("limits", "maxQueueWaitMs"),
    "batching": ("batching",),
    "preload": ("preload",),
    "traffic": ("trafficPercentile",),
}
# Options whose field has another form.
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "node_selector": labels_of,
    "toleration": lambda texts: [Toleration.of(text).document() for text in texts],
}
_ABOUT_DOING = ("name", "version", "environment", "wait", "timeout", "dry_run", "code", "output", "json", "quiet")


@dataclass(frozen=True)
class SpecificationDeployment(Deployment):
    """A deployment of a whole specification, with models and scripts by name."""

    document: dict[str, Any]
    cell: Document
    session: Session
    namespace: Mapping[str, Any]
    environment: str | None = None

    def plan(self) -> Plan:
        """Return the changes of the deployment; see `Deployment.plan`."""
        self.workspace.context.target(self.target)
        files: dict[str, str] = {}
        prepared: dict[str, Prepared] = {}
        wanted, present = self._resolved(prepared, files), self.present()
        if present is not None:
            try:
                wanted = with_access_of(present.spec, wanted)
            except SpecError as error:
                raise WrongInputError(f"{error.message}\n{OPEN_IN_WORDS}") from None
        return Plan(DeploymentPlan(wanted, present, prepared), files)

    def check_settings(self) -> None:
        """Do nothing: the document is checked when it is planned."""

    def apply(self, plan: Plan) -> Webservice:
        """Create or change the endpoint; see `Deployment.apply`."""
        with as_webservice_exception():
            check_content(self.workspace.context, plan.wanted)
        return super().apply(plan)

    def code(self) -> str:
        """Return the equivalent Python code, with the whole document."""
        from pprint import pformat

        document = pformat(self.plan().wanted.document(), sort_dicts=False, width=110)
        lines = [f"service = deploy_specification(ws, {document})", "service.wait_for_deployment(show_output=True)"]
        return script_of(self.workspace, lines)

    def _resolved(self, prepared: dict[str, Prepared], files: dict[str, str]) -> EndpointSpec:
        """Return the specification with references in place of names.

        Parameters:
            prepared: filled with the versions that must be built.
            files: filled with the generated files.

        Raises:
            WrongInputError: the document is invalid; the message has the line of the cell.

        """
        document = {**self.document, "name": self.name}
        if isinstance(document["versions"], dict) and document["versions"]:
            document.setdefault("defaultVersion", next(iter(document["versions"])))
            document["versions"] = {
                str(name): self._version(str(name), version, prepared, files)
                for name, version in document["versions"].items()
            }
        try:
            return EndpointSpec.parse(document)
        except SpecError as error:
            raise WrongInputError("\n".join(map(self._placed, error.message.splitlines()))) from None

    def _placed(self, sentence: str) -> str:
        """Add the line of the cell to an error that begins with the path of a field."""
        path = sentence.split(maxsplit=1)[0].rstrip(":").split(".")
        return f"Line {self.cell.line(*path)}: {sentence}"

    def _version(self, name: str, version: Any, prepared: dict[str, Prepared], files: dict[str, str]) -> Any:
        if not isinstance(version, dict):
            return version
        models = version.get("models", [])
        by_name = isinstance(models, list) and any(isinstance(model, str) for model in models)
        if not by_name and not isinstance(version.get("code"), str):
            return version
        if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
            line = self.cell.line("versions", name, "models")
            raise WrongInputError(
                f"Line {line}: versions.{name}.models: give a list of names, such as [diabetes-ridge:2], with code: "
                "SCRIPT; or full references in both."
            )
        found_part, served = self._prepared(name, version, models, files)
        given = {key: value for key, value in version.items() if key not in ("models", "code")}
        if not {"image", "interpreter"} & set(given):
            prepared[name] = found_part
        found = {
            "code": served.code,
            "models": [reference.document() for reference in served.models],
            "image": served.image,
            "imageId": served.image_id,
            "noCode": served.no_code,
            "modelDelivery": served.model_delivery,
            "modelBytes": served.model_bytes,
            "interpreter": served.interpreter,
        }
        variables = {**served.environment_variables, **version.get("environmentVariables", {})}
        written = {key: value for key, value in found.items() if value is not None}
        return {**written, **given, **({"environmentVariables": variables} if variables else {})}

    def _prepared(
        self, name: str, version: Mapping[str, Any], models: list[str], files: dict[str, str]
    ) -> tuple[Prepared, VersionContent]:
        """Store the content of a version with names; return the version and its content."""
        environment = None
        if self.environment is not None:
            environment, _ = environment_named(self.workspace, self.environment, self.name)
        script = version.get("code")
        config = None if script is None else scoring_config(self.session, script, self.namespace, environment)
        given = version.get("modelDelivery")
        delivery = given if given in DELIVERIES else None  # the document says what is wrong with another one
        with as_webservice_exception(), self.workspace.artifacts.hold():
            prepared = prepare_version(
                self.workspace,
                registered_models(self.workspace, models, self.namespace),
                config,
                kind=EndpointKind.AKS,
                service=self.name,
                target=self.workspace.context.target(self.target),
                delivery=delivery,
            )
            content = prepared.expected(self.workspace.context)
        files |= {f"{name}/{file}": text for file, text in generated_files(None, config, content, self.name).items()}
        return prepared, content


def specification_of(
    session: Session, namespace: Mapping[str, Any], values: Mapping[str, Any], cell: Document
) -> SpecificationDeployment:
    """Return the deployment of a document, with the options of the line.

    Raises:
        WrongInputError: an option is not allowed with a document, or its version is missing.

    """
    document = with_options(cell, values)
    target = target_of(session.workspace(), str(document.get("computeTarget", default_name()))).name
    document = {**document, "computeTarget": target}
    return SpecificationDeployment(
        session.workspace(),
        values["name"],
        [],
        Preparation(None, ()),
        "aks",
        {},
        target,
        document=document,
        cell=cell,
        session=session,
        namespace=namespace,
        environment=values["environment"],
    )


def with_options(cell: Document, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a cell, changed by the options of the line."""
    document: dict[str, Any] = _copied(cell.data)
    versions = document["versions"] if isinstance(document["versions"], dict) else {}
    for option in DEPLOYMENT_OPTIONS:
        value = values[option.key]
        if option.key in _ABOUT_DOING or option.key not in values.get(GIVEN, ()):
            continue
        if option.key in _ENDPOINT:
            _put(document, _ENDPOINT[option.key], value)
        elif option.key in _VERSION:
            value = _FIELDS.get(option.key, lambda given: given)(value)
            _put(versions[_meant(document, values, option.name)], _VERSION[option.key], value)
        else:
            raise WrongInputError(f"--{option.name} does not go with a specification in the cell: write it there.")
    return document


def _meant(document: Mapping[str, Any], values: Mapping[str, Any], option: str) -> str:
    """Return the version to which an option of the line applies."""
    versions = document["versions"]
    chosen = values["version"] or (next(iter(versions)) if len(versions) == 1 else None)
    if chosen is None or not isinstance(versions.get(chosen), dict):
        raise WrongInputError(
            f"--{option} is for one version: say which with --version: {', '.join(map(str, versions))}."
        )
    return str(chosen)


def _put(place: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        place = place.setdefault(key, {})
    if path[-1] == "replicas":
        place.pop("autoscale", None)
    place[path[-1]] = value


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
