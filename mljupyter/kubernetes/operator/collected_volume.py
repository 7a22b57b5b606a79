"""CollectedVolume: the collected data in a PersistentVolumeClaim, which a pod of its own reads for the operator."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mljupyter.client.errors import CollectedDataError, ControllerError, error_for
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.pod_state import pod_state
from mljupyter.outside import json_value
from mljupyter.spec import SpecError
from mljupyter.spec.collected import CollectedFile

_ANSWER_WITHIN = 20.0
_OK = 200


class CollectedVolume:
    """The `CollectedData` of a cluster.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        target: the name of the compute target, for messages.
        claim: the name of the claim; None if there is none.
        secret: the secret between the operator and the reading pod.

    """

    def __init__(self, api: ApiServer, namespace: str, target: str, claim: str | None, secret: str) -> None:
        self._api = api
        self._namespace = namespace
        self._target = target
        self._claim = claim
        self._secret = secret

    async def files(self, endpoint: str, after: str, most: int) -> Sequence[CollectedFile]:
        """Return the files of an endpoint; see `CollectedData.files`."""
        body = await self._get(f"/v1/endpoints/{quote(endpoint, safe='')}/collected", after=after, most=str(most))
        try:
            return [CollectedFile.parse(one) for one in json_value(body)]
        except (SpecError, TypeError, ValueError):
            raise CollectedDataError("the pod that reads collected data has not answered with a list.") from None

    async def read(self, endpoint: str, path: str, offset: int, most: int) -> bytes:
        """Return a piece of a file; see `CollectedData.read`."""
        place = f"/v1/endpoints/{quote(endpoint, safe='')}/collected/content"
        return await self._get(place, file=path, offset=str(offset), most=str(most))

    async def _get(self, place: str, **query: str) -> bytes:
        http = LocalHttp(await self._address(), _ANSWER_WITHIN, {names.SECRET_HEADER: self._secret})
        try:
            status, body = await http.get(place, **query)
        except UNREACHABLE as error:
            raise self._not_now(f"it does not answer ({type(error).__name__})") from None
        finally:
            await http.close()
        if status == _OK:
            return body
        raise _error_in(body, status)

    async def _address(self) -> str:
        """Return ``IP:PORT`` of the pod that reads.

        Raises:
            CollectedDataError: there is no claim, or no such pod that is ready.

        """
        if self._claim is None:
            raise CollectedDataError(
                f"compute target {self._target!r} was attached without a claim for collected data, which ends with its "
                "pod there.\nGive it a PersistentVolumeClaim: update(collected_data_claim=NAME) of the compute target, "
                "or `mljupyter computetarget attach\n... --collected-data-claim NAME`. Versions that are deployed or "
                "restarted afterwards write to it."
            )
        try:
            selector = names.selector(component=names.COMPONENT_READER)
            pods, _ = await self._api.list(names.pods(self._namespace), labels=selector)
            for pod in pods:
                if (address := (pod.get("status") or {}).get("podIP")) and pod_state(pod, now=time.time()).ready:
                    host = f"[{address}]" if ":" in address else address
                    return f"{host}:{names.READER_PORT}"
            raise self._not_now(await self._reason(pods))
        except ApiError as error:
            raise self._not_now(error.message) from None

    async def _reason(self, pods: Sequence[Mapping[str, Any]]) -> str:
        for pod in pods:
            about = f"involvedObject.name={pod['metadata']['name']}"
            events, _ = await self._api.list(names.events(self._namespace), fields=about)
            state = pod_state(pod, now=time.time(), events=events)
            if state.obstacle is not None:
                return state.obstacle.message.rstrip(".")
            if state.reason is not None:
                return f"it {state.reason.rstrip('.')}"
        return "it starts" if pods else f"there is none: kubectl describe deployment {names.READER}"

    def _not_now(self, reason: str) -> CollectedDataError:
        return CollectedDataError(
            f"the collected data in claim {self._claim!r} of compute target {self._target!r} cannot be read now. The "
            f"pod that reads it is not ready: {reason}.\nCheck it: mljupyter computetarget check {self._target}"
        )


def _error_in(body: bytes, status: int) -> ControllerError:
    try:
        document = json_value(body)
        return error_for(document["code"], document["message"])
    except (ValueError, LookupError, TypeError):
        return CollectedDataError(f"the pod that reads collected data has answered with status {status}.")
