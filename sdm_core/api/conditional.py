"""Answers that a client may keep: ETag, If-None-Match, Cache-Control."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

#: Seconds an answer may be kept without asking again.
KEPT_S = 3600
#: An address that names the version of the atlas never changes its content.
_FOR_EVER = "public, max-age=31536000, immutable"


def etag_of(*parts: object) -> str:
    """A strong ETag of everything that decides an answer."""
    text = json.dumps(parts, default=str, sort_keys=True)
    return f'"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it holds this answer (RFC 9110, weak comparison)."""
    told = request.headers.get("if-none-match", "")
    if told.strip() == "*":
        return True
    return etag in {tag.strip().removeprefix("W/") for tag in told.split(",")}


def kept_headers(etag: str, for_ever: bool = False, seconds: int = KEPT_S) -> dict[str, str]:
    """Headers of an answer that may be kept."""
    return {"ETag": etag, "Cache-Control": _FOR_EVER if for_ever else f"public, max-age={seconds}"}


def not_modified(headers: dict[str, str]) -> Response:
    """304: what the client holds is still right."""
    return Response(status_code=304, headers=headers)


def json_body(content: Any) -> bytes:
    """Compact JSON in UTF-8; NaN is refused, since JSON has none."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_answer(content: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; bytes are taken as they are."""
    body = content if isinstance(content, bytes) else json_body(content)
    return Response(body, media_type="application/json", headers=headers)
