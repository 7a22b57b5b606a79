"""Open a wizard from Python: what the magics of the same names do when nothing stands behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError

if TYPE_CHECKING:
    from mljupyter.notebook.session import Session  # only the form that is opened
    from mljupyter.widgets.wizard import Wizard  # only the form that is opened


class NoNotebookError(MLJupyterError):
    """A wizard was asked for outside of a notebook."""


def deploy_wizard(**typed: str) -> Wizard:
    """Return the wizard that deploys.

    Parameters:
        typed: what is known already, as ``%deploy`` takes it: ``name="diabetes"``, ``model="diabetes-ridge"``.

    Raises:
        NoNotebookError: outside of a notebook; so do the others.

    Example:
        >>> from mljupyter.widgets import deploy_wizard                                          # doctest: +SKIP
        >>> deploy_wizard(model="diabetes-ridge")                                                # doctest: +SKIP

    """
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard  # only the form that is opened

    session, namespace = _notebook()
    return DeployWizard(session, namespace, typed)


def register_wizard() -> Wizard:
    """Return the wizard that registers a model."""
    from mljupyter.widgets.wizards.register_wizard import RegisterWizard  # only the form that is opened

    return RegisterWizard(*_notebook())


def traffic_wizard(endpoint: str = "") -> Wizard:
    """Return the wizard that divides the requests of an endpoint; without a name it asks for one."""
    from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard  # only the form that is opened

    return TrafficWizard(_notebook()[0], endpoint)


def compare_wizard(endpoint: str = "") -> Wizard:
    """Return the wizard that compares the versions of an endpoint; without a name it asks for one."""
    from mljupyter.widgets.wizards.compare_wizard import CompareWizard  # only the form that is opened

    return CompareWizard(_notebook()[0], endpoint)


def attach_wizard() -> Wizard:
    """Return the wizard about compute targets."""
    from mljupyter.widgets.wizards.attach_wizard import AttachWizard  # only the form that is opened

    return AttachWizard(_notebook()[0])


def _notebook() -> tuple[Session, dict[str, Any]]:
    from IPython.core.getipython import get_ipython

    from mljupyter.notebook.session import session_of  # only the form that is opened

    shell: Any = get_ipython()
    if shell is None:
        raise NoNotebookError("A wizard needs a notebook: call this in a cell.")
    return session_of(shell), shell.user_ns
