"""The OpenAPI document of a service whose script declares no schema: any text in, any JSON out."""

from __future__ import annotations

from typing import Any

_VERSIONS = {"": "2", "2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}


def swagger(version: str, name: str, service_version: str, path_prefix: str) -> dict[str, Any] | None:
    """Return the document for `version` (2, 2.0, 3, 3.0 or 3.1; empty means 2), None for any other."""
    chosen = _VERSIONS.get(version)
    if chosen is None:
        return None
    prefix = "/" + path_prefix.strip("/") if path_prefix.strip("/") else ""
    old = chosen == "2"
    result_schema: dict[str, Any] = {"description": "What run() returned, as JSON"}
    error_schema = {"type": "object", "properties": {"message": {"type": "string"}}}

    def response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
        content = {"schema": schema} if old else {"content": {"application/json": {"schema": schema}}}
        return {"description": description, **content}

    score: dict[str, Any] = {
        "operationId": "RunMLService",
        "description": "Run the model on the request body",
        "responses": {
            "200": response("The model's result", result_schema),
            "default": response("The request failed", error_schema),
        },
    }
    body_schema = {"type": "object"} if old else {}
    if old:
        score["consumes"] = ["application/json"]
        score["parameters"] = [{"name": "serviceInputPayload", "in": "body", "required": True, "schema": body_schema}]
    else:
        score["requestBody"] = {"required": True, "content": {"application/json": {"schema": body_schema}}}
    health = {
        "operationId": "ServiceHealthCheck",
        "description": "Tell whether the service is ready",
        "responses": {
            "200": {
                "description": "Ready",
                **(
                    {"schema": {"type": "string"}}
                    if old
                    else {"content": {"text/plain": {"schema": {"type": "string"}}}}
                ),
            },
            "503": {"description": "Starting or stopping"},
        },
    }
    if old:
        health["produces"] = ["text/plain"]
        score["produces"] = ["application/json"]
    return {
        **({"swagger": "2.0"} if old else {"openapi": "3.0.3" if chosen == "3" else "3.1.0"}),
        "info": {"title": name, "description": f"API specification of {name}", "version": service_version},
        "paths": {f"{prefix}/": {"get": health}, f"{prefix}/score": {"post": score}},
    }
