"""The OpenAPI document of a service: the user's own file, or one generated from the schema of `run()`."""

# ruff: noqa: PTH118, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from mljupyter.scoring.messages import Interface

_VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0", "3.0": "3.0", "3.1": "3.1"}
_USER_FILES = {"2.0": ("swagger.json", "swagger2.json"), "3.0": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
_ANYTHING: dict[str, Any] = {"type": "object", "example": {}}
DEPLOYED_VERSION = "1.0"
"""The version in the document of a deployed service, whatever the name of its version (Azure ML v1: routes)."""
_BEARER: dict[str, list[str]] = {"Bearer": []}
_ERROR = {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}


class SwaggerError(ValueError):
    """There is no document of that version."""


class Service(NamedTuple):
    """The service that a document describes: name, version, the path before its own paths, ``http`` or ``https``."""

    name: str
    version: str
    prefix: str
    scheme: str


def swagger(version: str, service: Service, app_root: str, interface: Interface) -> bytes:
    """Return the document in an OpenAPI version (2, 2.0, 3, 3.0 or 3.1); raise SwaggerError for any other.

    Files `swagger.json`, `swagger2.json`, `swagger3.json` in the app root replace it (Azure ML v1: routes).
    """
    chosen = _VERSIONS.get(version)
    if chosen is None:
        raise SwaggerError(f"there is no swagger version {version[:50]}; use 2, 3 or 3.1")
    for name in _USER_FILES[chosen]:
        try:
            with open(os.path.join(app_root, name), "rb") as file:
                content = file.read()
        except OSError:
            continue
        return _checked(name, content)
    if chosen not in interface.versions:
        possible = ", ".join(interface.versions) or "none"
        raise SwaggerError(f"the schema of run() cannot be written as swagger {chosen}; versions that can: {possible}")
    return json.dumps(_document(chosen, service, interface)).encode()


def _checked(name: str, content: bytes) -> bytes:
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SwaggerError(f"the file {name} of the scoring script is not JSON: {error}") from None
    return content


def _document(version: str, service: Service, interface: Interface) -> dict[str, Any]:
    old = version == "2.0"
    prefix = service.prefix.strip("/")
    root = f"/{prefix}" if prefix else ""
    schemas = {
        "ServiceInput": interface.input_schema or _ANYTHING,
        "ServiceOutput": interface.output_schema or _ANYTHING,
        "ErrorResponse": _ERROR,
    }
    key = {"type": "apiKey", "name": "Authorization", "in": "header", "description": "For example: Bearer abc123"}
    head: dict[str, Any] = {
        "info": {
            "title": service.name,
            "description": f"API specification of the service {service.name}",
            "version": service.version,
        },
        "paths": {
            f"{root}/": {"get": _health(old)},
            f"{root}/score": {"post": _score(old)},
            f"{root}/swagger.json": {"get": _swagger(old)},
        },
    }
    if old:
        media = {"schemes": [service.scheme], "consumes": ["application/json"], "produces": ["application/json"]}
        return {"swagger": "2.0", **head, **media, "securityDefinitions": {"Bearer": key}, "definitions": schemas}
    number = "3.0.3" if version == "3.0" else "3.1.0"
    components = {"schemas": schemas, "securitySchemes": {"Bearer": key}}
    return {"openapi": number, **head, "security": [_BEARER], "components": components}


def _score(old: bool) -> dict[str, Any]:
    schema = _reference("ServiceInput", old)
    operation: dict[str, Any] = {
        "operationId": "RunMLService",
        "description": "Run the model on the request body",
        "security": [_BEARER],
        "responses": _responses("The model's result", _reference("ServiceOutput", old), old),
    }
    about = "The input of the model"
    if old:
        payload = {"name": "serviceInputPayload", "in": "body", "description": about, "schema": schema}
        return {**operation, "parameters": [payload]}
    return {**operation, "requestBody": {"description": about, "content": {"application/json": {"schema": schema}}}}


def _health(old: bool) -> dict[str, Any]:
    operation = {
        "operationId": "ServiceHealthCheck",
        "description": "Tell whether the service is ready",
        "responses": _responses("Ready", {"type": "string", "example": "Healthy"}, old, "text/plain"),
    }
    return {**operation, "produces": ["text/plain"]} if old else {**operation, "security": []}


def _swagger(old: bool) -> dict[str, Any]:
    kind = {"type": "string", "enum": sorted(_VERSIONS)}
    parameter = {"name": "version", "in": "query", "required": False, **(kind if old else {"schema": kind})}
    operation = {
        "operationId": "GetSwaggerSpec",
        "description": "Return this document",
        "parameters": [parameter],
        "responses": _responses("The document", {"type": "object"}, old),
    }
    return operation if old else {**operation, "security": []}


def _responses(description: str, schema: dict[str, Any], old: bool, media: str = "application/json") -> dict[str, Any]:
    return {
        "200": _response(description, schema, old, media),
        "default": _response("The request failed", _reference("ErrorResponse", old), old, "application/json"),
    }


def _response(description: str, schema: dict[str, Any], old: bool, media: str) -> dict[str, Any]:
    content = {"schema": schema} if old else {"content": {media: {"schema": schema}}}
    return {"description": description, **content}


def _reference(name: str, old: bool) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}" if old else f"#/components/schemas/{name}"}
