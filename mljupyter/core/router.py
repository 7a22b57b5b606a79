"""Router settings of a workspace: its address, TLS, connection limits, and the keys that sign tokens.

Azure: SslConfiguration of azureml.core.compute.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mljupyter.exceptions import ComputeTargetException, as_webservice_exception
from mljupyter.files import expanded
from mljupyter.spec import (
    CertificateFiles,
    CertificateSecret,
    PlainHttp,
    RouterRecord,
    RouterScalingDecision,
    RouterSpec,
    RouterTls,
)

if TYPE_CHECKING:
    from mljupyter.core import Workspace


class RouterClient(Protocol):
    """The part of a control plane's client that is about its router."""

    def router(self) -> RouterRecord:
        """Return the settings of the router."""
        ...

    def put_router(self, spec: RouterSpec, *, overwrite_domain: bool = False) -> RouterRecord:
        """Change the settings of the router."""
        ...

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        """Sign tokens with a new key."""
        ...


class Router:
    """The router of a workspace, or of a cluster: the proxy that every request to an endpoint passes.

    `show` returns its settings. Each other method changes them and returns when they are in force; requests that are
    under way are answered.

    Parameters:
        workspace: the workspace.
        control_plane: the control plane of the router; None for that of this machine.

    Example:
        >>> router = Router(ws)                                                                  # doctest: +SKIP
        >>> router.enable_tls(leaf_domain_label="churn-team")                                    # doctest: +SKIP
        >>> print(router.how_to_trust())                                                         # doctest: +SKIP

    """

    def __init__(self, workspace: Workspace, control_plane: RouterClient | None = None) -> None:
        self.workspace = workspace
        self._given = control_plane

    @property
    def _control_plane(self) -> RouterClient:
        return self._given or self.workspace.controller

    def show(self) -> RouterRecord:
        """Return the settings of the router, its certificates and their problems; on a cluster, its size too."""
        with as_webservice_exception():
            return self._control_plane.router()

    def scaling_history(self, most: int = 50) -> list[RouterScalingDecision]:
        """Return the newest decisions on the size of a cluster's router, oldest first; none on this machine.

        Parameters:
            most: the number of decisions at most; 50 are kept.

        """
        size = self.show().size
        return size.decisions[-most:] if size is not None and most > 0 else []

    def listen(
        self,
        address: str | None = None,
        *,
        allow_without_authentication: bool = False,
        hosts: Iterable[str] | None = None,
    ) -> RouterRecord:
        """Change the IP address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all of its addresses.

        Parameters:
            address: the IP address; None to keep it.
            allow_without_authentication: let other machines reach endpoints without authentication. A cluster always
                does: its administrators decide who reaches the routers.
            hosts: additional host names that requests to endpoints without authentication may have, such as that of
                a proxy in front of the router; None to keep them. Certificates that the workspace signs are for them
                as well.

        Raises:
            WebserviceException: an endpoint without authentication would be open to other machines, or the address
                does not belong to this machine, or the router is that of a cluster, whose address is its Service's.

        """
        changes: dict[str, Any] = {} if address is None else {"address": address}
        if hosts is not None:
            changes["hosts"] = tuple(hosts)
        if allow_without_authentication or self._given is None:
            changes["allow_without_authentication"] = allow_without_authentication
        return self._change(**changes)

    def enable_tls(
        self,
        *,
        certificate_file: str | Path | None = None,
        key_file: str | Path | None = None,
        host: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
        plain_http: str = PlainHttp.REDIRECT.value,
        secret_name: str | None = None,
    ) -> RouterRecord:
        """Turn TLS on for all endpoints, with a certificate of your own or one that the workspace signs.

        The files are watched on one machine: new files are used as soon as certificate and key match; until then the
        old ones are. On a cluster their content is stored in a Secret: call this again with new files. A Secret that
        you name is watched.

        Parameters:
            certificate_file, key_file: PEM files of the chain, the certificate first, and of the private key.
            host: the host name of the certificate, which clients connect to.
            leaf_domain_label: instead, a label for a certificate that the workspace signs and renews.
            overwrite_existing_domain: whether another label may replace the present one.
            plain_http: answer to requests without TLS: 'redirect' or 'close'.
            secret_name: on a cluster, instead of files: the name of a Secret of the type kubernetes.io/tls in the
                namespace of the routers, such as one of cert-manager.

        Raises:
            WebserviceException: the certificate cannot be used, or a rule is broken.

        """
        files = secret = None
        if secret_name is not None:
            secret = CertificateSecret.parse({"host": host, "name": secret_name})
        if certificate_file is not None or key_file is not None or (host is not None and secret is None):
            files = CertificateFiles.parse(
                {"host": host, "certificateFile": _absolute(certificate_file), "keyFile": _absolute(key_file)}
            )
        tls = RouterTls.parse({"files": files, "secret": secret, "leaf_domain_label": leaf_domain_label})
        return self._change(overwrite_existing_domain, tls=tls, plain_http=plain_http)

    def disable_tls(self) -> RouterRecord:
        """Turn TLS off."""
        return self._change(tls=None)

    def set_limits(self, **limits: float | None) -> RouterRecord:
        """Change connection limits; those that are not given stay.

        Parameters:
            limits: `headers_seconds`, `request_seconds`, `idle_seconds`, `max_connections`, `max_memory_mb`.

        """
        given = {name: value for name, value in limits.items() if value is not None}
        present = self.show().spec.limits
        return self._change(limits=type(present).parse(present.model_dump() | given))

    def set_token_lifetime(self, seconds: int) -> RouterRecord:
        """Change the lifetime of tokens that are issued from now on: a minute to thirty days."""
        return self._change(token_seconds=seconds)

    def rotate_token_keys(self, *, revoke: bool = False) -> list[str]:
        """Make a new key to sign tokens; tokens that were signed before stay valid until they expire.

        Parameters:
            revoke: refuse all tokens that were issued before, at once.

        Returns:
            The names of the valid keys, the signing key first.

        """
        with as_webservice_exception():
            return self._control_plane.rotate_token_keys(revoke=revoke)

    def how_to_trust(self) -> str:
        """Return instructions for clients to trust the router's certificate: text with commands."""
        record = self.show()
        if record.spec.tls is None:
            target = "" if self._given is None else " --target TARGET"
            return f"The router serves without TLS. Turn it on: mljupyter router tls{target} --label NAME"
        if record.authority_file is None:
            return "The certificate is your own: clients trust it if they trust the authority that has signed it."
        file, quoted = record.authority_file, shlex.quote(record.authority_file)
        here = self._given is None
        return (
            f"The {'workspace' if here else 'operator'} has signed the certificate. Clients trust it by the authority "
            f"in\n  {file}\n"
            f"Copy this file to them: it is not secret{', but the key beside it is' if here else ''}.\n"
            f"  curl --cacert {quoted} ...\n"
            f"  requests.post(uri, ..., verify={file!r})\n"
            f"  the whole machine (Debian): sudo cp {quoted} /usr/local/share/ca-certificates/mljupyter.crt && "
            "sudo update-ca-certificates"
        )

    def _change(self, overwrite_domain: bool = False, **changes: Any) -> RouterRecord:
        with as_webservice_exception():
            present = self._control_plane.router().spec
            values = {name: getattr(present, name) for name in RouterSpec.model_fields} | changes
            return self._control_plane.put_router(RouterSpec.parse(values), overwrite_domain=overwrite_domain)


class SslConfiguration:
    """TLS settings of a compute target.

    Parameters:
        status: 'Enabled' with a certificate of your own, 'Auto' with a leaf domain label, or 'Disabled'.
        cert, key: paths of PEM files.
        cname: the host name of the certificate.
        leaf_domain_label: the label for a certificate that the workspace signs.
        overwrite_existing_domain: whether another label may replace the present one.
        renew: without effect: certificates that the workspace signs are always renewed.

    """

    def __init__(
        self,
        status: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        cname: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
        renew: bool = False,
    ) -> None:
        if status not in (None, "Enabled", "Auto", "Disabled"):
            raise ComputeTargetException(f"status is {status!r}: it must be 'Enabled', 'Auto' or 'Disabled'.")
        own = {"ssl_cert_pem_file": cert, "ssl_key_pem_file": key, "ssl_cname": cname}
        given = " and ".join(name for name, value in own.items() if value)
        missing = " and ".join(name for name, value in own.items() if not value)
        if leaf_domain_label and given:
            raise ComputeTargetException(
                f"leaf_domain_label and {given} cannot be combined: give the label, or your own certificate with key "
                "and cname."
            )
        if given and missing:
            raise ComputeTargetException(f"{given} given without {missing}: give all three, or none.")
        self.status = status or ("Auto" if leaf_domain_label else "Enabled")
        self.cert = cert
        self.key = key
        self.cname = cname
        self.leaf_domain_label = leaf_domain_label
        self.overwrite_existing_domain = overwrite_existing_domain
        self.renew = renew
        if self.status != "Disabled" and not (leaf_domain_label or given):
            raise ComputeTargetException(
                f"status is {self.status!r} without a certificate: give ssl_cert_pem_file, ssl_key_pem_file and "
                "ssl_cname, or leaf_domain_label, or status='Disabled'."
            )

    def apply(self, router: Router) -> None:
        """Apply the settings to a router."""
        if self.status == "Disabled":
            router.disable_tls()
            return
        router.enable_tls(
            certificate_file=self.cert,
            key_file=self.key,
            host=self.cname,
            leaf_domain_label=self.leaf_domain_label,
            overwrite_existing_domain=self.overwrite_existing_domain,
        )

    def serialize(self) -> dict[str, Any]:
        """Return the configuration as JSON types, without the key."""
        return {"status": self.status, "cname": self.cname, "leafDomainLabel": self.leaf_domain_label}

    @staticmethod
    def deserialize(object_dict: Mapping[str, Any] | None) -> SslConfiguration | None:
        """Return the configuration from JSON types; None for None.

        Parameters:
            object_dict: the result of `serialize`; a certificate of your own needs ``cert`` and ``key`` as well.

        Raises:
            ComputeTargetException: a rule is broken.

        """
        if object_dict is None:
            return None
        names = ("status", "cert", "key", "cname", "leafDomainLabel")
        status, cert, key, cname, label = (object_dict.get(name) for name in names)
        return SslConfiguration(status, cert, key, cname, label)


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(expanded(path).resolve())
