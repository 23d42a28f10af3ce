"""Anthropic's own request types, as its Python SDK declares them, turned into a judge of what we send.

The SDK describes requests with ``TypedDict``s that nobody checks at run time. Pydantic reads them, and knows no member
that they do not name.
"""

import functools
from collections.abc import Iterator
from typing import Any

from anthropic.types import MessageCreateParams
from pydantic import BaseModel, ConfigDict, TypeAdapter

# The API takes these from older models, which sample; the SDK names only what the newest take.
_SAMPLERS = ("temperature", "top_p", "top_k")


@functools.cache
def _adapter() -> TypeAdapter[Any]:
    # files and paths, which the SDK takes in place of base64, are types that pydantic does not know
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(MessageCreateParams, config=config)


def check_message_request(body: Any) -> None:
    """``ValueError`` (pydantic's or ours) unless ``body`` is what the SDK itself could send to ``/v1/messages``."""
    body = dict(body)
    samplers = [body.pop(name) for name in _SAMPLERS if name in body]
    if not all(type(value) in (int, float) and value >= 0 for value in samplers):
        raise ValueError(f"validation error: no number to sample by in {samplers}")
    _judge(_adapter().validate_python(body, strict=True))


def _judge(value: Any) -> None:
    """Lists are declared as iterables, which pydantic judges only as they are walked through."""
    if isinstance(value, BaseModel):
        # the SDK takes back blocks of an answer, and its types for answers let every member pass
        raise ValueError(f"fits only an answer, not a request: {value!r}")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | Iterator):
        return
    for element in value:
        _judge(element)
