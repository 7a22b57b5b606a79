"""Errors of requests for people: the state of the endpoint is read, so that the reason and the way out are true."""

from __future__ import annotations

from mljupyter.core import Webservice
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.deploy.wait import short_problem
from mljupyter.engine.requests.failures import failure_text
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException


class InvokeError(MLJupyterError):
    """An endpoint did not answer a request with a result."""


def request_failure(asked: Webservice | AksEndpointVersion, error: WebserviceException) -> str:
    """Return why a request failed, and the way out in a notebook.

    Parameters:
        asked: the web service that was asked, or its version.
        error: the error of `run`.

    """
    service = asked.endpoint if isinstance(asked, AksEndpointVersion) else asked
    record = None
    try:
        service.update_deployment_state()
        record = service.record
    except WebserviceException as lost:
        if "WebserviceNotFound" not in lost.message:
            return error.message.replace("service.get_logs()", f"%logs {service.name}")
    return failure_text(service.name, error.message, record, "" if record is None else short_problem(record))
