"""The real servers that some tests need, found by the variables that the test bed exports."""

from __future__ import annotations

import os

import pytest

_PARTS = {
    "TESTBED_DOCKER": "docker",
    "TESTBED_BASE_IMAGE": "docker",
    "TESTBED_REGISTRY": "registry",
    "TESTBED_PRIVATE_REGISTRY": "registry",
    "TESTBED_KUBECONFIG": "kubernetes",
}


def needed(variable: str) -> str:
    """Return what the test bed exported, or skip the test and say how to start the part."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(
            f"{variable} is not set: run `../shared/testbed/testbed up {_PARTS[variable]}`, "
            'then `eval "$(../shared/testbed/testbed env)"`'
        )
    return value
