"""Call a web service: score, with the key or token that it asks for (Azure ML v1: Webservice)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mljupyter.client.scorer import Answer, Scorer
from mljupyter.core.webservice.authentication import AuthenticatedWebservice
from mljupyter.exceptions import WebserviceException

_ANSWER_MARGIN_SECONDS = 10.0


class CalledWebservice(AuthenticatedWebservice):
    """What of a web service has to do with requests."""

    _scorer: Scorer

    def run(self, input_data: str | bytes) -> Any:
        """Score: send data to the web service and return what it answers.

        Parameters:
            input_data: the body of the request, usually JSON text.

        Returns:
            The decoded JSON of the answer, or its text where it is no JSON.

        Raises:
            WebserviceException: with status and body of any answer but 200; when there is no answer.

        """
        return self._run(input_data, {})

    def _run(self, input_data: str | bytes, headers: Mapping[str, str]) -> Any:
        if not isinstance(input_data, (str, bytes)):
            raise WebserviceException(
                f"input_data is a {type(input_data).__name__}: it must be text or bytes. "
                "For example: service.run(json.dumps({'data': [[1, 2, 3]]}))"
            )
        body = input_data.encode() if isinstance(input_data, str) else input_data
        answer = self._score(body, headers)
        if answer.status == 401 and self.authentication_needed:
            self._forget_credentials()
            answer = self._score(body, headers)
        if answer.status == 308:  # it is served with TLS by now
            self.update_deployment_state()
            answer = self._score(body, headers)
        if answer.status != 200:
            raise WebserviceException(
                f"{self.name!r} answered with status {answer.status}: {answer.text}\n"
                "Its log says more: service.get_logs()",
                status_code=answer.status,
            )
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):  # no JSON, or nested too deeply: the text is all there is
            return answer.text

    def _score(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._check_not_deleted()
        if self._known.status.scoring_uri is None:
            self.update_deployment_state()
        uri = self.scoring_uri
        if uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no scoring URI yet. First: service.wait_for_deployment()"
            )
        headers = {"Content-Type": "application/json", **headers, **self._credential()}
        limits = [version.limits for version in self._spec.versions.values()]
        milliseconds = max(item.scoring_timeout_ms + item.max_queue_wait_ms for item in limits) + self._wake_wait_ms
        return self._scorer.post(uri, body, headers, milliseconds / 1000 + _ANSWER_MARGIN_SECONDS)

    @property
    def _wake_wait_ms(self) -> int:
        """How long a request may wait for the first replica of a version that has none, in milliseconds."""
        policies = [version.scaling.autoscale for version in self._spec.versions.values()]
        return max((item.max_wake_wait_ms for item in policies if item and item.min_replicas == 0), default=0)
