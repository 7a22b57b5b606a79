"""Error replies of the router: JSON of one shape, with a code to search for (docs/errors.md lists them)."""

from __future__ import annotations

from dataclasses import dataclass

from mljupyter.engine.envoy import hosts, tokens
from mljupyter.engine.envoy.extensions import Resource
from mljupyter.engine.envoy.listener import SERVICE_PREFIX


@dataclass(frozen=True)
class Reply:
    """An answer of the router: Envoy's status, the status that clients get, code and message.

    A status may have several reasons: with `by_token` the reply is only for refusals of the token filter, with
    `by_overload` only for refusals because the router runs out of memory.
    """

    status: int
    becomes: int
    code: str
    message: str
    by_token: bool = False
    by_overload: bool = False


_OVERLOADED = "The router has no memory left for this request. Send less at a time, or try again later."
# The first match counts. Envoy answers 500 if it has no memory for a body of HTTP/1 and ends the request.
# The token filter answers 403 for a valid token of another endpoint.
REPLIES = (
    Reply(400, 400, "BadRequest", "The request breaks a rule of HTTP: %RESPONSE_CODE_DETAILS%."),
    Reply(401, 401, "Unauthorized", "%LOCAL_REPLY_BODY%. Get a new token: service.get_access_token()"),
    Reply(403, 403, "Forbidden", "The token is for another endpoint. Get one of this endpoint.", by_token=True),
    Reply(403, 401, "Unauthorized", "Send a key of this endpoint in the header 'Authorization: Bearer KEY'."),
    Reply(404, 404, "NotFound", "No endpoint answers at this path. The scoring URI ends in /score."),
    Reply(408, 408, "RequestTimeout", "The request's headers or body took too long to arrive."),
    Reply(413, 413, "PayloadTooLarge", "The body is larger than this endpoint's limit."),
    Reply(
        hosts.HOST_REFUSED,
        421,
        "HostNotAllowed",
        "%REQ(:AUTHORITY)% is not a name of this machine: under other names only endpoints with keys or tokens answer. "
        "Use the scoring URI as it is, or allow the name: mljupyter router listen --host NAME",
    ),
    Reply(
        hosts.ORIGIN_REFUSED,
        403,
        "OriginNotAllowed",
        "Web pages of %REQ(ORIGIN)% may not call this endpoint. Allow them: set AML_CORS_ORIGINS among its environment "
        "variables, or mljupyter router listen --host NAME",
    ),
    Reply(426, 426, "UpgradeRequired", "This version of HTTP is not supported: use HTTP/1.0, HTTP/1.1 or HTTP/2."),
    Reply(429, 429, "TooManyRequests", "The endpoint accepts no more requests in this second. Try again later."),
    Reply(431, 431, "HeadersTooLarge", "The request's headers are too large."),
    Reply(502, 502, "BadGateway", "The replica's answer was not valid HTTP."),
    Reply(500, 503, "RouterOverloaded", _OVERLOADED),
    Reply(503, 503, "RouterOverloaded", _OVERLOADED, by_overload=True),
    Reply(503, 503, "NoReplicaReady", "No replica can take the request now. Try again later."),
    Reply(504, 504, "ScoringTimeout", "The replica did not answer within the scoring timeout."),
)
OTHERWISE = "RouterError"
_HEADERS = {401: ("www-authenticate", 'Bearer realm="mljupyter"'), 429: ("retry-after", "1"), 503: ("retry-after", "1")}


def local_replies() -> Resource:
    """Return the table of answers as an Envoy resource."""
    return {
        "mappers": [
            _mapper(reply, filters, members)
            for reply in REPLIES
            for filters, members in (
                ([_of_open_inference()], {"error": reply.message}),
                ([], {"code": reply.code, "message": reply.message}),
            )
        ],
        "body_format": {"json_format": {"code": OTHERWISE, "message": "%LOCAL_REPLY_BODY%"}},
    }


def _mapper(reply: Reply, filters: list[Resource], members: dict[str, str]) -> Resource:
    own = _filter(reply)
    return {
        "filter": {"and_filter": {"filters": [own, *filters]}} if filters else own,
        "status_code": reply.becomes,
        "headers_to_add": _headers(reply.becomes),
        "body_format_override": {"json_format": members},
    }


def _of_open_inference() -> Resource:
    """Return the filter of requests to paths of the Open Inference Protocol, which has errors of its own form."""
    path = f"({SERVICE_PREFIX}/[^/?]+)?/v2([/?].*)?"
    return {"header_filter": {"header": {"name": ":path", "string_match": {"safe_regex": {"regex": path}}}}}


def _filter(reply: Reply) -> Resource:
    by_status = {
        "status_code_filter": {
            "comparison": {
                "op": "EQ",
                "value": {"default_value": reply.status, "runtime_key": f"mljupyter.reply_{reply.status}"},
            }
        }
    }
    if reply.by_overload:
        return {"and_filter": {"filters": [by_status, {"response_flag_filter": {"flags": ["OM"]}}]}}
    if not reply.by_token:
        return by_status
    refused = {
        "metadata_filter": {
            "matcher": {
                "filter": "envoy.filters.http.jwt_authn",
                "path": [{"key": tokens.FAILURE}, {"key": "message"}],
                "value": {"present_match": True},
            },
            "match_if_key_not_found": False,
        }
    }
    return {"and_filter": {"filters": [by_status, refused]}}


def _headers(status: int) -> list[Resource]:
    if status not in _HEADERS:
        return []
    key, value = _HEADERS[status]
    return [{"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
