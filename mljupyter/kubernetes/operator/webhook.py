"""The operators' webhook: the API server asks it, over HTTPS, before it stores a custom resource.

Every operator pod answers, whether or not it leads. The pod that leads keeps the certificate in a Secret, which all
pods follow, and writes its authority into the webhook configuration.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.client.errors import ControllerError
from mljupyter.controller.api.documents import document_of
from mljupyter.controller.http_server import http_server
from mljupyter.controller.layout import private_directory
from mljupyter.controller.tls.private_files import write_private
from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator import admission
from mljupyter.kubernetes.operator.settings import OperatorSettings
from mljupyter.kubernetes.operator.webhook_certificate import WebhookCertificate, renewed

MANAGER = "mljupyter"
# An object of at most 1.5 MB, as etcd takes it, twice: as it was and as it is to be.
_MOST_BYTES = 4 * 1024 * 1024
_MOST_CONNECTIONS = 64
_ANSWERED_WITHIN = 5.0
# The API server closes idle connections after 90 s. If this side did it first, a review would be lost now and then.
_KEEP_ALIVE = 120
_ENDS_WITHIN = 2
_LOOK_EVERY = 10.0
_RETRY_EVERY = 2.0
_FORBIDDEN, _NOT_FOUND = 403, 404
_ABSENT = (_FORBIDDEN, _NOT_FOUND)

log = logging.getLogger(__name__)


class Webhook:
    """Answers the API server's reviews, and keeps the certificate for that.

    Parameters:
        api: the API server.
        settings: the settings of the operator.

    """

    def __init__(self, api: ApiServer, settings: OperatorSettings) -> None:
        self._api = api
        self._settings = settings
        self._directory = settings.directory / ".webhook"
        self._secrets = names.secrets(settings.namespace)
        self._informer = Informer(
            api, self._secrets, fields=f"metadata.name={names.WEBHOOK}", changed=self._certificate_seen
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = asyncio.Event()
        self._changed = asyncio.Event()
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._said = ""
        self.port = 0
        """The port that it listens on; 0 before there is a certificate."""

    def start(self, failed: Callable[[asyncio.Task[None]], None]) -> None:
        """Follow the certificate, and answer reviews as soon as there is one. `failed` is called when that ends."""
        self._task = asyncio.create_task(self._run(), name="webhook")
        self._task.add_done_callback(failed)

    async def _run(self) -> None:
        private_directory(self._directory, "")
        following = asyncio.create_task(self._informer.run(), name="webhook certificate")
        try:
            await self._loaded.wait()
            listener = socket.create_server(
                ("", self._settings.webhook_port), family=socket.AF_INET, backlog=_MOST_CONNECTIONS
            )
            self.port = int(listener.getsockname()[1])
            application = Starlette(routes=[Route(names.WEBHOOK_PATH, self._review, methods=["POST"])])
            self._server = http_server(
                application,
                ends_within=_ENDS_WITHIN,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE,
            )
            self._server.config.load()
            self._server.config.ssl = self._context  # uvicorn has no option for a context that changes
            log.info("the webhook answers at port %d", self.port)
            await self._server.serve(sockets=[listener])
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def close(self) -> None:
        """Stop answering. Return when the reviews in progress are answered, or after a timeout."""
        if self._task is None:
            return
        if self._server is not None:
            self._server.should_exit = True
        else:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def lead(self) -> None:
        """Keep the certificate and the webhook configuration until cancelled."""
        await self._informer.synced.wait()
        while True:
            self._changed.clear()
            try:
                await self._announce((await self._kept()).authority)
                pause = _LOOK_EVERY
            except MLJupyterError as error:
                self._say(f"the webhook's certificate is not in force yet: {error.message}")
                pause = _RETRY_EVERY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    async def _kept(self) -> WebhookCertificate:
        """Return the certificate that is stored, after it was made or renewed if that was due.

        Two operators that do so at the same time agree: the API server refuses the second one, which then looks again.
        """
        secret = self._informer.objects.get(names.WEBHOOK)
        present = WebhookCertificate.of(secret) if secret is not None else None
        wanted = renewed(present, self._directory, self._settings.namespace, datetime.now(UTC))
        if wanted == present:
            return wanted
        manifest = wanted.secret(self._settings.namespace)
        if secret is None:
            await self._api.create(self._secrets, manifest)
        else:
            manifest["metadata"]["resourceVersion"] = secret["metadata"]["resourceVersion"]
            await self._api.replace(f"{self._secrets}/{names.WEBHOOK}", manifest)
        log.info("the webhook has a new certificate")
        return wanted

    async def _announce(self, authority: str) -> None:
        """Write the authority into the webhook configuration, where that has another one."""
        path = names.webhook_configuration(self._settings.namespace)
        try:
            found = await self._api.get(path)
        except ApiError as error:
            if error.status not in _ABSENT:
                raise
            self._say(f"custom resources are checked only after they are stored: {error.message}")
            return
        bundle = base64.b64encode(authority.encode()).decode()
        webhooks = [
            {"name": webhook["name"], "clientConfig": {"caBundle": bundle}}
            for webhook in found.get("webhooks") or ()
            if webhook["clientConfig"].get("caBundle") != bundle
        ]
        if webhooks:
            await self._api.patch(path, {"webhooks": webhooks}, kind="strategic", manager=MANAGER)
            log.info("the API server trusts the webhook's authority")
        self._said = ""

    def _say(self, text: str) -> None:
        if text != self._said:
            log.warning("%s", text)
        self._said = text

    def _certificate_seen(self, kind: str, secret: Object) -> None:
        """Use a certificate for new connections. A damaged one has no effect: the operator that leads replaces it."""
        self._changed.set()
        found = WebhookCertificate.of(secret) if kind != "DELETED" else None
        if found is None:
            return
        path = self._directory / "server.pem"
        try:
            write_private(path, found.certificate + found.key)
            self._context.load_cert_chain(path)
        except (MLJupyterError, OSError, ValueError):  # ssl.SSLError is an OSError
            log.warning("the webhook's certificate in Secret %s cannot be used", names.WEBHOOK)
        else:
            self._loaded.set()

    async def _review(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                document = await document_of(request, _MOST_BYTES)
                # In a thread, since the documents of a large endpoint take a while.
                answer: dict[str, Any] = await asyncio.to_thread(
                    admission.answer,
                    document,
                    namespace=self._settings.namespace,
                    target=self._settings.target,
                    namespaces=self._settings.namespaces,
                )
        except ControllerError as error:
            return JSONResponse({"code": error.code, "message": error.message}, status_code=error.status_code)
        except TimeoutError:
            message = f"the review took more than {_ANSWERED_WITHIN:g} s."
            return JSONResponse({"code": "Timeout", "message": message}, status_code=503)
        return JSONResponse(answer)
