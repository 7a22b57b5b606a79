"""The paths in an image that other parts than its builders use."""

from __future__ import annotations

APP_ROOT = "/var/azureml-app"
MODELS = "azureml-models"
SERVER_ENVIRONMENT = "/opt/mljupyter/server"
