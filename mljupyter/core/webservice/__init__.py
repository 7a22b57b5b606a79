"""Web services: deployed models, with one class for each kind of deployment configuration.

Azure: azureml.core.webservice.
"""

from __future__ import annotations

from mljupyter.core.webservice.access_token import AksServiceAccessToken, WebServiceAccessToken
from mljupyter.core.webservice.aci import AciWebservice
from mljupyter.core.webservice.aks import AksWebservice
from mljupyter.core.webservice.aks_endpoint import AksEndpoint
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.webservice.local import LocalWebservice
from mljupyter.core.webservice.webservice import Webservice
from mljupyter.exceptions import WebserviceException

__all__ = [
    "AciWebservice",
    "AksEndpoint",
    "AksServiceAccessToken",
    "AksWebservice",
    "LocalWebservice",
    "WebServiceAccessToken",
    "Webservice",
    "WebserviceDeploymentConfiguration",
    "WebserviceException",
]
