"""Providers: ways to create and delete clusters. On this machine kind, k3d, minikube and any commands; in Azure AKS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.kubernetes.providers.azure import AksProvider
from mljupyter.targets.kubernetes.providers.base import Provider
from mljupyter.targets.kubernetes.providers.local import TOOLS, CommandProvider, ToolProvider

__all__ = ["TOOLS", "AksProvider", "CommandProvider", "Provider", "ToolProvider", "provider_of"]

_KINDS: Mapping[str, type[Provider]] = {
    **dict.fromkeys(TOOLS, ToolProvider),
    CommandProvider.name: CommandProvider,
    AksProvider.name: AksProvider,
}


def provider_of(settings: Mapping[str, Any]) -> Provider:
    """Return the provider of a created cluster, from its stored settings.

    Raises:
        ComputeTargetException: the settings are damaged, or of a newer release.

    """
    try:
        return _KINDS[settings["name"]].from_settings(settings)
    except (KeyError, TypeError) as error:
        raise ComputeTargetException(
            f"the record of the created cluster cannot be used ({type(error).__name__}: {error}): delete the cluster "
            "with the tool that created it, then forget it: mljupyter computetarget delete NAME --forget"
        ) from None
