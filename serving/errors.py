"""OpenAI's error shape, everywhere: {"error": {"message", "type", "code", "param"}}."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from data.errors import (
    DocDuetError,
    EngineError,
    EngineRefusedError,
    IndexMismatchError,
    NoIndexError,
    PromptTooLongError,
    StoreError,
    UnknownLabelError,
)

log = logging.getLogger(__name__)

_NO_FIELD = re.compile(r"(body|str|list\[.*\])$")  # what pydantic puts between the names of fields
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(DocDuetError):
    """A request that cannot be served. ``status`` is the HTTP status, ``code`` a stable word, ``param`` the field.

    ``retry_after_s``: when it may be tried again (seconds); ``headers``: more of the response's headers.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        code: str = "invalid_request",
        param: str | None = None,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"


def error_body(message: str, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error response, and of an error inside a stream."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def as_api_error(error: Exception) -> ApiError:
    """Any failure as an ApiError; what is unexpected keeps its details in the log."""
    match error:
        case ApiError():
            return error
        case NoIndexError():
            return ApiError(str(error), 503, "no_index")
        case IndexMismatchError():
            return ApiError(str(error), 503, "index_mismatch")
        case UnknownLabelError():
            return ApiError(str(error), 400, "unknown_label", f"filters.{error.label}")
        case PromptTooLongError():
            return ApiError(str(error), 400, "context_length_exceeded", "messages")
        case EngineRefusedError():
            return ApiError(str(error), 400, "engine_refused")
        case EngineError():
            return ApiError(str(error), 503, "engine_unavailable")
        case StoreError():
            return ApiError(str(error), 503, "store_unavailable")
        case _:
            return ApiError("internal error: the gateway's log says more", 500, "internal_error")


def install(app: FastAPI) -> None:
    """Make every error of ``app`` leave in OpenAI's shape."""

    @app.exception_handler(DocDuetError)
    async def known(_: Request, error: DocDuetError) -> JSONResponse:
        return error_response(as_api_error(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(_from_validation(_telling(error.errors())))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "body_too_large"}
        code = codes.get(error.status_code, "http_error")
        return error_response(ApiError(str(error.detail), error.status_code, code), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return unforeseen(request.method, error)


def unforeseen(method: str, error: Exception) -> JSONResponse:
    """What a request is answered whose failure nobody has handled; the log has the rest."""
    log.error("%s failed", method, exc_info=error)
    return error_response(as_api_error(error))


def error_response(error: ApiError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as a response."""
    body = error_body(str(error), error.status, error.code, error.param)
    return JSONResponse(body, error.status, {**(error.headers or {}), **(headers or {})})


def _telling(errors: Sequence[Any]) -> Any:
    """The error to show: the first, or the deepest in the same field, where a field may be of several types."""
    field = errors[0]["loc"][:2]
    return max((error for error in errors if error["loc"][:2] == field), key=lambda error: len(error["loc"]))


def _from_validation(first: Any) -> ApiError:
    if first["type"] == "unsupported_parameter":
        return ApiError(first["msg"], 400, "unsupported_parameter", first["ctx"]["param"])
    if first["type"] == "json_invalid":
        return ApiError(
            f"the body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}", 400, "invalid_json"
        )
    if first["loc"] == ("body",):
        return ApiError("the body must be a JSON object, sent with Content-Type: application/json", 400, "invalid_json")
    param = ".".join(str(part) for part in first["loc"] if not _NO_FIELD.match(str(part))) or None
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such field: check its name in /v1/openapi.json"
    return ApiError(f"{param}: {message}" if param else message, 400, "invalid_request", param)
