"""Functions that open the wizards from Python, such as `deploy_wizard()`. Magics without arguments do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError

if TYPE_CHECKING:
    from mljupyter.notebook.session import Session  # imported only when the form is opened
    from mljupyter.widgets.wizard import Wizard  # imported only when the form is opened


class NoNotebookError(MLJupyterError):
    """A wizard was opened outside of a notebook."""


def deploy_wizard(**typed: str) -> Wizard:
    """Return the wizard that deploys.

    Parameters:
        typed: initial values by option of ``%deploy``: ``name="diabetes"``, ``model="diabetes-ridge"``.

    Raises:
        NoNotebookError: the call is outside of a notebook. The other functions raise it as well.

    Example:
        >>> from mljupyter.widgets import deploy_wizard                                          # doctest: +SKIP
        >>> deploy_wizard(model="diabetes-ridge")                                                # doctest: +SKIP

    """
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard  # imported only when the form is opened

    session, namespace = _notebook()
    return DeployWizard(session, namespace, typed)


def register_wizard() -> Wizard:
    """Return the wizard that registers a model."""
    from mljupyter.widgets.wizards.register_wizard import RegisterWizard  # imported only when the form is opened

    return RegisterWizard(*_notebook())


def traffic_wizard(endpoint: str = "") -> Wizard:
    """Return the wizard for the traffic shares of an endpoint; without a name it asks for one."""
    from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard  # imported only when the form is opened

    return TrafficWizard(_notebook()[0], endpoint)


def compare_wizard(endpoint: str = "") -> Wizard:
    """Return the wizard that compares the versions of an endpoint; without a name it asks for one."""
    from mljupyter.widgets.wizards.compare_wizard import CompareWizard  # imported only when the form is opened

    return CompareWizard(_notebook()[0], endpoint)


def attach_wizard() -> Wizard:
    """Return the wizard that shows compute targets, attaches a cluster, and chooses a Docker engine."""
    from mljupyter.widgets.wizards.attach_wizard import AttachWizard  # imported only when the form is opened

    return AttachWizard(_notebook()[0])


def _notebook() -> tuple[Session, dict[str, Any]]:
    from IPython.core.getipython import get_ipython

    from mljupyter.notebook.session import session_of  # imported only when the form is opened

    shell: Any = get_ipython()
    if shell is None:
        raise NoNotebookError("A wizard needs a notebook: call this in a cell.")
    return session_of(shell), shell.user_ns
