"""Answers as bytes: JSON, and refusals as JSON (or, to a person at the door, a line of HTML)."""

import json
from typing import Any

from starlette.responses import HTMLResponse, Response

from wsi.review.refusal import Refused


def as_json(content: Any, *, status: int = 200) -> Response:
    """Return an answer of JSON that nobody keeps."""
    body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json", headers={"cache-control": "no-store"})


def refusal(error: Refused) -> Response:
    """Return a refusal as `{error: {code, message, next}}`."""
    if error.page:
        answer: Response = HTMLResponse(error.page, error.status, headers={"cache-control": "no-store"})
    else:
        told = {"code": error.code, "message": str(error), "next": error.next}
        answer = as_json({"error": told}, status=error.status)
    if error.wait_s:
        answer.headers["retry-after"] = str(error.wait_s)
    return answer
