"""``%mlj attach``: show the compute targets, and choose the Docker engine for containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.magics.magic import Call
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.docker_engines import address_rule, problem_of
from mljupyter.notebook.views.views import Outcome


def run(call: Call) -> Any:
    """Check that an engine answers, and use it for containers from now on."""
    import os

    address = call["address"]
    problem = address_rule(address) or problem_of(address)
    if problem:
        raise WrongInputError(problem)
    os.environ["DOCKER_HOST"] = address
    call.session.workspace().controller.stop()  # the next controller uses the new engine; replicas keep serving
    return Outcome("ok", "docker", address)


def wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    """Return the form that shows the compute targets and takes the address of a Docker engine."""
    from mljupyter.widgets.wizards.attach_wizard import AttachWizard  # slow import; only if a widget is shown

    return AttachWizard(session)
