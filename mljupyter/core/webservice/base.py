"""What all web services have in common (Azure ML v1: Webservice)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from mljupyter.client.scorer import Scorer
from mljupyter.core.filters import Filters, matches
from mljupyter.core.webservice.called import CalledWebservice
from mljupyter.core.webservice.from_image import WebserviceFromImage
from mljupyter.core.webservice.logged import LoggedWebservice
from mljupyter.core.webservice.measured import MeasuredWebservice
from mljupyter.core.webservice.releasing import ChangeHistory
from mljupyter.core.webservice.scaling import ScaledWebservice
from mljupyter.deploy import apply, wait
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointKind, EndpointRecord
from mljupyter.visible import visible

if TYPE_CHECKING:
    from mljupyter.client.reach import Reach
    from mljupyter.core.workspace import Workspace


class Webservice(
    WebserviceFromImage,
    ScaledWebservice,
    ChangeHistory,
    CalledWebservice,
    LoggedWebservice,
    MeasuredWebservice,
):
    """A deployed model: one scoring URI and what stands behind it.

    `Webservice(workspace, name)` returns a `LocalWebservice`, `AciWebservice`, `AksWebservice` or `AksEndpoint`,
    whichever it is.
    What the object shows is as of its last operation; `update_deployment_state` brings it up to date.

    Parameters:
        workspace: the workspace.
        name: the web service's name.

    Raises:
        WebserviceException: `WebserviceNotFound` when there is none of this name, or of this class.

    """

    def __new__(cls, workspace: Workspace, name: str, *_: Any, **__: Any) -> Self:
        """Make an object of the class that the web service's kind calls for."""
        if cls is not Webservice:
            return super().__new__(cls)
        with as_webservice_exception():
            record = workspace.endpoints.endpoint(name)
        service = object.__new__(_class_of(record.spec.kind))
        service._record = record
        return cast(Self, service)

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._attach(workspace, name)
        if self._record is None:
            with as_webservice_exception():
                self._show(workspace.endpoints.endpoint(name))

    @staticmethod
    def _of(workspace: Workspace, record: EndpointRecord) -> Webservice:
        """Return the object for a record that was just read."""
        service = object.__new__(_class_of(record.spec.kind))
        service._attach(workspace, record.spec.name)
        service._record = record
        return service

    def _attach(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._record: EndpointRecord | None = self.__dict__.get("_record")
        self._deleted = False
        self._forget_credentials()
        self._scorer = Scorer(self._reach)

    def _reach(self) -> Reach | None:
        return self.workspace.context.targets[self._spec.compute_target].reach()

    @staticmethod
    def list(
        workspace: Workspace,
        compute_type: str | None = None,
        image_name: str | None = None,
        image_id: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Filters = None,
        properties: Filters = None,
        image_digest: str | None = None,
    ) -> Sequence[Webservice]:
        """Return the web services of a workspace that pass all filters, sorted by name.

        Parameters:
            workspace: the workspace.
            compute_type: LOCAL, ACI, AKS or AKSENDPOINT, in any case.
            model_name, model_id: name, or ``name:version``, of a model it serves.
            tags, properties: a list of keys and of pairs of key and value.
            image_name, image_id, image_digest: name, ``name:version`` or digest of an image it serves from.

        """
        if image_digest is not None:
            images = workspace.registry.images.list()
            ids = {image.id for image in images if image.digest == image_digest}
        else:
            ids = None
        found = [
            record
            for record in workspace.endpoint_records()
            if (compute_type is None or record.spec.kind == compute_type.upper())
            and wait.serves(record.spec, model_name, model_id)
            and wait.serves_from(record.spec, image_name, image_id, ids)
            and matches(record.spec.tags, tags)
            and matches(record.spec.properties, properties)
        ]
        return [Webservice._of(workspace, record) for record in sorted(found, key=lambda record: record.spec.name)]

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the last operation is done: until the web service is Healthy.

        An interrupt ends the waiting, not the deployment.

        Parameters:
            show_output: print progress and, at the end, a line that starts with Succeeded.
            timeout_sec: seconds to wait at most; None for as long as it takes.

        Raises:
            WebserviceException: when it failed, with the state, the reason and the last lines of its log; when the
                time is up; when the web service was deleted meanwhile.

        """
        self._check_not_deleted()
        say = _say if show_output else wait.keep_silent
        say("Running")
        try:
            record = wait.follow(self.workspace.endpoints, self.name, timeout=timeout_sec, tick=lambda: say("."))
        except KeyboardInterrupt:
            say("\n")
            print(f"Interrupted; the deployment of {self.name!r} goes on.")
            raise
        except WebserviceException:
            say("\n")
            raise
        self._show(record)
        if record.status.state in wait.NOT_DEPLOYED:
            say("\nFailed\n")
            raise wait.failure(record, str(self.state))
        say(f"\nSucceeded: {self.compute_type} service {self.name!r} is {self.state}\n")

    def delete(self) -> None:
        """Delete the web service; its models and its image are free again when this returns.

        Raises:
            WebserviceException: `WebserviceNotFound` when it is gone already.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            apply.delete(self.workspace.context, self.name)
        self._deleted = True
        self._scorer.close()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change the web service; each kind has arguments of its own.

        Raises:
            WebserviceException: when its kind cannot be changed in place.

        """
        raise WebserviceException(f"A {type(self).__name__} cannot be changed: deploy it anew with overwrite=True.")


def _class_of(kind: EndpointKind) -> type[Webservice]:
    from mljupyter.core.webservice.aci import AciWebservice
    from mljupyter.core.webservice.aks import AksWebservice
    from mljupyter.core.webservice.aks_endpoint import AksEndpoint
    from mljupyter.core.webservice.local import LocalWebservice

    classes: tuple[type[Webservice], ...] = (LocalWebservice, AciWebservice, AksWebservice, AksEndpoint)
    return next(candidate for candidate in classes if candidate.kind is kind)


def _say(text: str) -> None:
    print(visible(text), end="", flush=True)
