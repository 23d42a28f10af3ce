"""Token probabilities, as chat completions and responses report them.

Source: OpenAI API reference, "The chat completion object", ``choices[].logprobs``, and "The response object",
``output_text.logprobs`` (2026-11).
"""

from typing import Any

from gateway.core.types import ContentDelta, raw_json

# Beyond that a number is none that JSON readers can hold.
_MAX_LOGPROB = 1e308


def told_probabilities(tokens: object, choice: int = 0, field: str = "logprobs") -> list[ContentDelta]:
    """A ``ContentDelta`` for each token; its ``field`` is ``refusal_logprobs`` for those of a refusal.

    ``tokens`` is decoded JSON of any kind; what is no token is left out. Every token has the members that official
    clients require, also where a vendor has not sent them."""
    told = []
    for token in _tokens(tokens):
        others = [_plain(other) for other in _tokens(token.get("top_logprobs"))]
        told.append(ContentDelta(field, raw_json({**_plain(token), "top_logprobs": others}), choice))
    return told


def _tokens(value: object) -> list[dict[str, Any]]:
    return [item for item in value if _is_token(item)] if isinstance(value, list) else []


def _is_token(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("token"), str):
        return False
    logprob = item.get("logprob")
    return isinstance(logprob, int | float) and -_MAX_LOGPROB <= logprob <= _MAX_LOGPROB


def _plain(token: dict[str, Any]) -> dict[str, Any]:
    """A token may be a piece of a character: then only its bytes say which."""
    spelled = token.get("bytes")
    if not isinstance(spelled, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in spelled):
        spelled = list(token["token"].encode(errors="replace"))
    return {"token": token["token"], "logprob": float(token["logprob"]), "bytes": spelled}
