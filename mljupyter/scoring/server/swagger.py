"""The OpenAPI document of a service: the user's own file, or one generated from the schema of `run()`."""

# ruff: noqa: PTH118, PTH123
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import json
import os
from typing import Any

from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.messages import Interface

_VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0", "3.0": "3.0", "3.1": "3.1"}
_USER_FILES = {"2.0": ("swagger.json", "swagger2.json"), "3.0": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
_ANYTHING: dict[str, Any] = {"type": "object", "example": {}}
_ERROR = {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}


class SwaggerError(ValueError):
    """There is no document of that version."""


def swagger(version: str, settings: Configuration, interface: Interface) -> bytes:
    """Return the document in an OpenAPI version (2, 2.0, 3, 3.0 or 3.1); raise SwaggerError for any other.

    Files `swagger.json`, `swagger2.json`, `swagger3.json` in the app root replace it (Azure ML v1: routes).
    """
    chosen = _VERSIONS.get(version)
    if chosen is None:
        raise SwaggerError(f"there is no swagger version {version[:50]}; use 2, 3 or 3.1")
    for name in _USER_FILES[chosen]:
        try:
            with open(os.path.join(settings.app_root, name), "rb") as file:
                content = file.read()
        except OSError:
            continue
        return _checked(name, content)
    if chosen not in interface.versions:
        possible = ", ".join(interface.versions) or "none"
        raise SwaggerError(f"the schema of run() cannot be written as swagger {chosen}; versions that can: {possible}")
    return json.dumps(_document(chosen, settings, interface)).encode()


def _checked(name: str, content: bytes) -> bytes:
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SwaggerError(f"the file {name} of the scoring script is not JSON: {error}") from None
    return content


def _document(version: str, settings: Configuration, interface: Interface) -> dict[str, Any]:
    old = version == "2.0"
    prefix = settings.service_path_prefix.strip("/")
    root = f"/{prefix}" if prefix else ""
    schemas = {
        "ServiceInput": interface.input_schema or _ANYTHING,
        "ServiceOutput": interface.output_schema or _ANYTHING,
        "ErrorResponse": _ERROR,
    }
    key = {"type": "apiKey", "name": "Authorization", "in": "header", "description": "For example: Bearer abc123"}
    head: dict[str, Any] = {
        "info": {
            "title": settings.service_name,
            "description": f"API specification of the service {settings.service_name}",
            "version": settings.service_version,
        },
        "paths": {
            f"{root}/": {"get": _health(old)},
            f"{root}/score": {"post": _score(old)},
            f"{root}/swagger.json": {"get": _swagger(old)},
        },
    }
    if old:
        media = {"consumes": ["application/json"], "produces": ["application/json"]}
        return {"swagger": "2.0", **head, **media, "securityDefinitions": {"Bearer": key}, "definitions": schemas}
    number = "3.0.3" if version == "3.0" else "3.1.0"
    return {"openapi": number, **head, "components": {"schemas": schemas, "securitySchemes": {"Bearer": key}}}


def _score(old: bool) -> dict[str, Any]:
    schema = _reference("ServiceInput", old)
    operation: dict[str, Any] = {
        "operationId": "RunMLService",
        "description": "Run the model on the request body",
        "security": [{"Bearer": []}],
        "responses": {
            "200": _response("The model's result", _reference("ServiceOutput", old), old),
            "default": _response("The request failed", _reference("ErrorResponse", old), old),
        },
    }
    if old:
        operation["parameters"] = [{"name": "serviceInputPayload", "in": "body", "required": True, "schema": schema}]
    else:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _health(old: bool) -> dict[str, Any]:
    ready = _response("Ready", {"type": "string"}, old, "text/plain")
    operation = {
        "operationId": "ServiceHealthCheck",
        "description": "Tell whether the service is ready",
        "responses": {"200": ready, "503": {"description": "Starting or stopping"}},
    }
    return {**operation, "produces": ["text/plain"]} if old else operation


def _swagger(old: bool) -> dict[str, Any]:
    kind = {"type": "string", "enum": sorted(_VERSIONS)}
    parameter = {"name": "version", "in": "query", "required": False, **(kind if old else {"schema": kind})}
    return {
        "operationId": "GetSwaggerSpec",
        "description": "Return this document",
        "parameters": [parameter],
        "responses": {
            "200": _response("The document", {"type": "object"}, old),
            "default": _response("There is no such version", _reference("ErrorResponse", old), old),
        },
    }


def _response(description: str, schema: dict[str, Any], old: bool, media: str = "application/json") -> dict[str, Any]:
    content = {"schema": schema} if old else {"content": {media: {"schema": schema}}}
    return {"description": description, **content}


def _reference(name: str, old: bool) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}" if old else f"#/components/schemas/{name}"}
