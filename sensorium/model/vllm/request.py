"""From an ask to the body of `POST /v1/chat/completions`.

Fields: https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html. The last four of the sampling settings
have defaults in a checkpoint's `generation_config.json`, which would make greedy decoding something else.
"""

from __future__ import annotations

from typing import Any

from sensorium.model.contract import Ask, CallOffer
from sensorium.model.vllm.content import messages_of
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm

__all__ = ["body_of", "tools_of"]

_NEUTRAL = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


def body_of(ask: Ask, *, served: str, most_tokens: int | None, form: EmbedsForm = UNKNOWN) -> dict[str, Any]:
    """The body of a request.

    Args:
        ask: What is asked for.
        served: The model, as the server calls it.
        most_tokens: Length of the server's context, where it is known; more tokens than that cannot be asked for.
        form: The input embeddings that the model takes.
    """
    messages = messages_of(ask, form)
    goes_on = bool(messages) and messages[-1]["role"] == "assistant"
    body: dict[str, Any] = {
        "model": served,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": min(ask.max_tokens, most_tokens or ask.max_tokens),
        "temperature": ask.temperature,
        "stop": list(ask.stop),
        "continue_final_message": goes_on,
        "add_generation_prompt": not goes_on,
        **_NEUTRAL,
    }
    if ask.seed is not None:
        body["seed"] = ask.seed % 2**63
    if ask.choices is not None:
        body["structured_outputs"] = {"choice": list(ask.choices)}
    if ask.schema is not None:
        body["structured_outputs"] = {"json": dict(ask.schema)}
    if ask.calls is not None:
        body["tools"] = tools_of(ask)
        # The chat template tells of the tools all the same. A call that is required would be held by tags that the
        # backend `guidance` does not know, so it is held as any JSON is.
        body["tool_choice"] = "none"
        body["structured_outputs"] = {"json": dict(ask.form or {})}
    return body


def tools_of(ask: Ask) -> list[dict[str, Any]]:
    """The tools that an ask offers, as the protocol has them."""
    return [_tool(offer) for offer in ask.calls or ()]


def _tool(offer: CallOffer) -> dict[str, Any]:
    told = {"name": offer.name, "description": offer.about, "parameters": dict(offer.arguments)}
    return {"type": "function", "function": told}
