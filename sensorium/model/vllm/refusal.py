"""What a server's refusal means, and who must act on it."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, cast

from sensorium.errors import CallerError, ModelError, OperatorError, SensoriumError
from sensorium.model.vllm.endpoints import Endpoint

__all__ = ["Passing", "refusal"]

_PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_MOST_WORDS = 400
_PARTS = re.compile(
    r"prompt_embeds|At most \d+ (?:image|audio|video)|(?:load|fetch|decode|identify) (?:image|audio|video)|multimodal"
)
"""What vLLM speaks of where it refuses a picture, a sound or a latent."""
_LENGTHS = re.compile(r"context length is (\d+) tokens.*?(?:contains|resulted in|has)(?: at least)? (\d+)", re.DOTALL)


class Passing(Exception):
    """The server could not answer now; another may, or the same one later.

    Args:
        error: What a caller is told where nobody answers.
        after_s: When the server says that it can be asked again.
    """

    def __init__(self, error: SensoriumError, after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


def refusal(endpoint: Endpoint, status: int, body: bytes, headers: Mapping[str, str]) -> SensoriumError | Passing:
    """The error for an answer that is none.

    Args:
        endpoint: Whose answer it is.
        status: Its HTTP status.
        body: What came with it, or the beginning of that.
        headers: By lower-case name.
    """
    said = _said(body, endpoint.key)
    told = f"the server {endpoint.name} answers {status}" + (f": {said}" if said else "")
    if status in _PASSING:
        return Passing(ModelError(told, can_retry=True), _after_s(headers.get("retry-after")))
    if status in (401, 403):
        shown = "does not take key: of the profile" if endpoint.key else "wants key: of the profile"
        return OperatorError(f"{told}; it {shown}, best written as ${{env:NAME}}, with the variable set")
    if status == 404:
        return OperatorError(f"{told}; look at the URL in the profile, which ends with /v1, and at served:")
    if 300 <= status < 400:
        return OperatorError(f"{told}; redirects are not followed, as the key would go with them: set the last URL")
    if _PARTS.search(said):
        return CallerError(f"{told}; the model that it serves does not take this part, or not so many: leave it out")
    return _too_long(said) or ModelError(f"{told}; the request is not one that it takes")


def _too_long(said: str) -> CallerError | None:
    """The error for a prompt that does not fit; None where it is about something else."""
    found = _LENGTHS.search(said)
    if found is not None:
        context, prompt = int(found[1]), int(found[2])
        if prompt > context:
            return CallerError(
                f"the prompt has {prompt} tokens, {prompt - context} more than the {context} of the model's context; "
                "shorten the request, or raise context_tokens in the profile"
            )
    if "context length" in said or "context_length_exceeded" in said:
        return CallerError(f"the prompt does not fit into the model's context: {said}; shorten the request")
    return None


def _said(body: bytes, key: str | None) -> str:
    """What the server says is wrong; its own words where they are no JSON of the usual form."""
    text = body.decode("utf-8", "replace").strip()
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        told = text
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and name in told:
            told = cast("dict[str, Any]", told)[name]
    words = " ".join(str(cast("object", told)).split())[:_MOST_WORDS]
    words = words.encode("utf-8", "backslashreplace").decode()  # JSON can write half a character, which is no text
    return words.replace(key, "(the key)") if key else words


def _after_s(told: str | None) -> float | None:
    """Seconds of a `Retry-After`: RFC 9110, section 10.2.3."""
    if told is None:
        return None
    if told.strip().isdecimal() and told.isascii():
        return float(told)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
