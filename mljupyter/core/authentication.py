"""Authentication: accepted and not needed, because workspaces are directories of this user.

Azure: azureml.core.authentication.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from mljupyter.exceptions import AuthenticationException


class AbstractAuthentication:
    """Base class: an identity for a cloud. It is accepted everywhere, and has no effect.

    Secrets that are given are not kept.
    """

    def __init__(self) -> None:
        _say_once()

    def get_authentication_header(self) -> NoReturn:
        """Refuse: there is no identity to prove.

        Raises:
            AuthenticationException: always.

        """
        raise AuthenticationException(
            "A workspace here needs no identity, so there is no header for one.\nFor requests to a web service use "
            "service.get_keys() or service.get_access_token()."
        )

    def get_token(self, *scopes: str, **kwargs: Any) -> NoReturn:
        """Refuse, as `get_authentication_header` does.

        Raises:
            AuthenticationException: always.

        """
        self.get_authentication_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class InteractiveLoginAuthentication(AbstractAuthentication):
    """The identity of a user who logs in by a browser; there is no login here.

    Parameters:
        force, tenant_id, cloud: without effect.

    Example:
        >>> Workspace.from_config(auth=InteractiveLoginAuthentication())     # doctest: +SKIP

    """

    def __init__(self, force: bool = False, tenant_id: str | None = None, cloud: str | None = None) -> None:
        super().__init__()


class AzureCliAuthentication(AbstractAuthentication):
    """The identity of a command line that is logged in.

    Parameters:
        cloud: without effect.

    """

    def __init__(self, cloud: str | None = None) -> None:
        super().__init__()


class ServicePrincipalAuthentication(AbstractAuthentication):
    """The identity of a program.

    Parameters:
        tenant_id, service_principal_id, cloud, _enable_caching: without effect.
        service_principal_password: not kept.

    """

    def __init__(
        self,
        tenant_id: str,
        service_principal_id: str,
        service_principal_password: str,
        cloud: str = "AzureCloud",
        _enable_caching: bool = True,
    ) -> None:
        super().__init__()


class MsiAuthentication(AbstractAuthentication):
    """The identity of a machine in a cloud.

    Parameters:
        identity_config, cloud: without effect.

    """

    def __init__(self, identity_config: Any = None, cloud: str = "AzureCloud") -> None:
        super().__init__()


class ArmTokenAuthentication(AbstractAuthentication):
    """An identity by a token of a resource manager.

    Parameters:
        arm_access_token: not kept.
        cloud: without effect.

    """

    def __init__(self, arm_access_token: str, cloud: str | None = None) -> None:
        super().__init__()

    def update_arm_access_token(self, new_arm_access_token: str) -> None:
        """Accept another token, which is not kept."""


class TokenAuthentication(AbstractAuthentication):
    """An identity by tokens from a function, which is never called.

    Parameters:
        get_token_for_audience, cloud: without effect.

    """

    def __init__(self, get_token_for_audience: Callable[[str], str], cloud: str | None = None) -> None:
        super().__init__()


@cache
def _say_once() -> None:
    print("Authentication has no effect: workspaces are on this machine, and belong to you. Nothing of it is kept.")
