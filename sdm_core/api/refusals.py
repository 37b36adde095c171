"""Every refusal as {"error": one sentence}: never a traceback, never a path of the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from sdm_core.errors import (
    CacheNotWritableError,
    CorruptStoreError,
    FlorascopeError,
    NoDataInRegionError,
    NotWritableError,
    UnknownAtlasError,
    UnknownSpeciesError,
)

logger = logging.getLogger(__name__)

#: Errors of the server itself: their messages name files, so the log has them and the client a sentence.
_OURS = (CorruptStoreError, CacheNotWritableError, NotWritableError)
_NOT_FOUND = (UnknownAtlasError, UnknownSpeciesError)
_SENTENCES = {
    404: "There is nothing at this address; see the list of addresses at the start page of the interface.",
    405: "This address does not take that method; see the list of addresses at the start page.",
}


class ApiError(FlorascopeError):
    """A refusal with its status; the message is the sentence the client reads."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer of a refusal."""
    told = {"Cache-Control": "no-store", **(headers or {})}
    return JSONResponse({"error": sentence}, status_code=status, headers=told)


def refusal_of(error: FlorascopeError) -> Response:
    """The answer of an error a user can act on."""
    if isinstance(error, ApiError):
        return refusal(error.status, str(error), error.headers)
    if isinstance(error, _OURS):
        logger.error("%s", error)
        return refusal(
            503, "The server cannot read its predictions at the moment; tell whoever runs it.", _retry(60)
        )
    if isinstance(error, _NOT_FOUND):
        return refusal(404, str(error))
    if isinstance(error, NoDataInRegionError):
        return refusal(404, str(error))
    return refusal(422, str(error))


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def install(app: FastAPI) -> None:
    """Have an application answer every error in one sentence."""

    async def known(_request: Request, error: Exception) -> Response:
        assert isinstance(error, FlorascopeError)
        return refusal_of(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(422, _what_is_invalid(error))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = _SENTENCES.get(error.status_code, str(error.detail))
        return refusal(error.status_code, sentence, error.headers)

    async def unforeseen(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "Something went wrong here that nobody foresaw; it has been logged.")

    app.add_exception_handler(FlorascopeError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def _what_is_invalid(error: RequestValidationError) -> str:
    """The first thing wrong with the parameters of a request."""
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first.get("loc") else "the request"
    what = str(first.get("msg", "is not valid"))
    what = what[:1].lower() + what[1:]
    return f"The parameter {name[:40]!r} is not as expected: {what[:160].rstrip('.')}."
