"""Web services: deployed models by the kind of deployment configuration that made them."""

from __future__ import annotations

from mljupyter.core.webservice.access_token import AksServiceAccessToken, WebServiceAccessToken
from mljupyter.core.webservice.aci import AciWebservice
from mljupyter.core.webservice.aks import AksWebservice
from mljupyter.core.webservice.aks_endpoint import AksEndpoint
from mljupyter.core.webservice.base import Webservice
from mljupyter.core.webservice.local import LocalWebservice
from mljupyter.exceptions import WebserviceException

__all__ = [
    "AciWebservice",
    "AksEndpoint",
    "AksServiceAccessToken",
    "AksWebservice",
    "LocalWebservice",
    "WebServiceAccessToken",
    "Webservice",
    "WebserviceException",
]
