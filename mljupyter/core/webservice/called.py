"""Call a web service: score, with the keys that it asks for (Azure ML v1: Webservice)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mljupyter.core.exceptions import WebserviceException, as_webservice_exception
from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.core.webservice.scoring import Answer, Scorer

_ANSWER_MARGIN_SECONDS = 10.0


class CalledWebservice(DescribedWebservice):
    """What of a web service has to do with requests and keys."""

    _keys: tuple[str, str] | None
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
        if answer.status == 401 and self.auth_enabled:
            self._keys = None
            answer = self._score(body, headers)
        if answer.status != 200:
            raise WebserviceException(
                f"{self.name!r} answered with status {answer.status}: {answer.text}\n"
                "Its log says more: service.get_logs()",
                status_code=answer.status,
            )
        try:
            return json.loads(answer.body)
        except ValueError:
            return answer.text

    def get_keys(self) -> tuple[str, str]:
        """Return the primary and the secondary key.

        Raises:
            WebserviceException: when the web service has no key authentication.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.controller.keys(self.name)

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key; the other one keeps working.

        Parameters:
            key: 'Primary' or 'Secondary'.
            set_key: the new key; None makes one at random.

        Raises:
            WebserviceException: when `key` names none, or the web service has no key authentication.

        """
        self._check_not_deleted()
        which = str(key).lower()
        if which not in ("primary", "secondary"):
            raise WebserviceException(f"key is {key!r}: it must be 'Primary' or 'Secondary'.")
        with as_webservice_exception():
            self.workspace.controller.regenerate_key(
                self.name, "primary" if which == "primary" else "secondary", set_key
            )
        self._keys = None

    def get_token(self) -> tuple[str, datetime]:
        """Raise: this release has no token authentication.

        Raises:
            WebserviceException: always.

        """
        raise WebserviceException(
            f"{self.name!r} has no token authentication: it is not available on target 'local' in this release. "
            "Key authentication is: service.get_keys()"
        )

    def _score(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._check_not_deleted()
        if self._known.status.scoring_uri is None:
            self.update_deployment_state()
        uri = self.scoring_uri
        if uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no scoring URI yet. First: service.wait_for_deployment()"
            )
        headers = {"Content-Type": "application/json", **headers}
        if self.auth_enabled:
            self._keys = self._keys or self.get_keys()
            headers["Authorization"] = f"Bearer {self._keys[0]}"
        limits = [version.limits for version in self._spec.versions.values()]
        milliseconds = max(item.scoring_timeout_ms + item.max_queue_wait_ms for item in limits)
        return self._scorer.post(uri, body, headers, milliseconds / 1000 + _ANSWER_MARGIN_SECONDS)
