"""Operations on the router and on tokens: read and change listen settings, issue tokens, rotate signing keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from mljupyter.client.errors import ControllerError, DomainExistsError, TokensNotAvailableError
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.listener_manager import ListenerManager, refuse_open_to_network
from mljupyter.controller.tls.tokens import Token
from mljupyter.spec import Authentication, Problem, RouterRecord, RouterSpec


class RouterService:
    """The operations on the router that clients may request.

    Parameters:
        store: the endpoints.
        keeper: has the listener settings.
        follow: updates the router, and returns when the update is in force.
        router: the router itself.

    """

    def __init__(
        self, store: Store, keeper: ListenerManager, follow: Callable[[], Awaitable[None]], router: EndpointRouter
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._follow = follow
        self._router = router
        self._lock = asyncio.Lock()

    def record(self) -> RouterRecord:
        """Return the router's listener settings, its certificates, their problems, and its size on a cluster."""
        keeper, spec = self._keeper, self._keeper.spec
        own = [record.spec for name in self._store.names() if (record := self._store.get(name)).spec.tls is not None]
        statuses = {"": keeper.status(None), **{one.name: keeper.status(one) for one in own}}
        of_own = (keeper.problem(one) for one in own)
        problems = [keeper.problem(None), *of_own, keeper.way_problem(), self._without_tls()]
        signs = spec.tls is not None and spec.tls.own is None
        return RouterRecord(
            spec=spec,
            port=self._router.port,
            certificates={name: status for name, status in statuses.items() if status is not None},
            problems=[problem for problem in problems if problem is not None],
            trust=keeper.trusted(),
            authority_file=str(keeper.authority.file) if signs else None,
            token_keys=keeper.token_keys.names,
            size=self._router.size,
        )

    def _without_tls(self) -> Problem | None:
        spec = self._keeper.spec
        if not spec.beyond_loopback or spec.tls is not None or self._keeper.is_published:
            return None
        target = " --target TARGET" if self._keeper.on_cluster else ""
        return Problem(
            code="PlainHttpOnNetwork",
            message=f"the router listens on {spec.address} without TLS: others on the network can read keys and data. "
            f"Turn it on: mljupyter router tls{target} --label NAME",
        )

    async def in_force(self) -> RouterRecord:
        """Return the record when it is in force: a new certificate takes a moment."""
        await self._keeper.followed()
        return self.record()

    async def put(
        self, spec: RouterSpec, *, overwrite_domain: bool, certificate: tuple[str, str] | None = None
    ) -> RouterRecord:
        """Change the router's listener settings. Return when they are in force.

        Parameters:
            spec: the settings.
            overwrite_domain: whether another leaf domain label may replace the present one.
            certificate: a certificate and its key in PEM, to store on the cluster of the router.

        Raises:
            AuthenticationRequiredError: when endpoints would be open to other machines.
            CertificateError: when the certificate cannot be used.
            DomainExistsError: when there is another leaf domain, and `overwrite_domain` is not set.
            ControllerError: when the router cannot listen there, or pods have their own limit. Nothing is changed then.

        """
        async with self._lock:
            before = self._keeper.spec
            resized = spec.limits.max_memory_mb != before.limits.max_memory_mb
            if resized and self._keeper.on_cluster:
                raise ControllerError(
                    "max_memory_mb is for the router of one machine. Nothing is changed.\n"
                    "On a cluster, the memory limit of its pods counts: change that of their Deployment."
                )
            refuse_open_to_network(spec, [self._store.get(name).spec for name in self._store.names()])
            _refuse_other_domain(before, spec, overwrite=overwrite_domain)
            if certificate is not None:
                spec = await self._keeper.store(spec, *certificate)
            self._keeper.check(spec)
            self._keeper.put(spec)
            try:
                await self._follow()
                if resized:
                    await self._router.replace()  # Envoy reads this only at its start
            except ControllerError as error:
                self._keeper.put(before)
                await self._keeper.forget_unused(spec)
                await self._follow()
                raise ControllerError(f"{error.message} The router still listens on {before.address}.") from None
            await self._keeper.forget_unused(before)
            return self.record()

    async def replace(self) -> RouterRecord:
        """Replace the router's process. Return when new connections go to the new one.

        Raises:
            ControllerError: when the new one cannot take over. The old one continues to serve.

        """
        async with self._lock:
            await self._router.replace()
            return self.record()

    async def token(self, name: str, subject: str) -> Token:
        """Return a token for an endpoint.

        Raises:
            TokensNotAvailableError: when the endpoint has no token authentication.

        """
        spec = self._store.get(name).spec
        if spec.authentication is not Authentication.TOKEN:
            raise TokensNotAvailableError(
                f"endpoint {name!r} has no token authentication, but {spec.authentication.value!r}.\n"
                "Turn it on: service.update(token_auth_enabled=True, auth_enabled=False)"
            )
        async with self._lock:  # never sign with a key that is not in force in the router yet
            return self._keeper.token_keys.issue(name, subject, int(time.time()), self._keeper.spec.token_seconds)

    async def rotate(self, *, revoke: bool) -> list[str]:
        """Create a new signing key for tokens. Return the names of the valid keys when they are in force."""
        async with self._lock:
            keys = self._keeper.token_keys
            keys.rotate(time.time(), self._keeper.spec.token_seconds, revoke=revoke)
            await self._follow()
            return keys.names


def token_document(token: Token) -> dict[str, Any]:
    """Return a token as a document for clients."""
    fields = asdict(token)
    return {"token": fields["text"], "refreshAfter": fields["refresh_after"], "expires": fields["expires"]}


def _refuse_other_domain(before: RouterSpec, after: RouterSpec, *, overwrite: bool) -> None:
    present = before.tls.leaf_domain_label if before.tls is not None else None
    wanted = after.tls.leaf_domain_label if after.tls is not None else None
    if present is not None and wanted is not None and wanted != present and not overwrite:
        raise DomainExistsError(
            f"the router has the leaf domain label {present!r} already. Pass overwrite_existing_domain=True to "
            f"replace it by {wanted!r}."
        )
