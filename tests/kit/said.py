"""One answer in the words of every vendor: what was said is written down once, and told as each of them would.

``tell(answer, dialect)`` gives a plain answer and the events of a stream. Texts and arguments of a stream come in
pieces, parallel calls one after the other. What a vendor has no word for (Gemini for withheld thought) is left out, and
``as_told(answer, dialect)`` is what then remains.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.types import DialectName, FinishReason, Usage
from tests.kit import messages_api, responses_api

Json = dict[str, Any]

CHAT = DialectName.OPENAI_CHAT
RESPONSES = DialectName.OPENAI_RESPONSES
MESSAGES = DialectName.ANTHROPIC_MESSAGES
GEMINI = DialectName.GEMINI_GENERATE_CONTENT


@dataclass(frozen=True)
class Thought:
    """``proof`` is what its vendor wants back with it. With ``is_redacted`` the proof is all there is."""

    text: str
    proof: str | None = None
    is_redacted: bool = False
    id: str | None = None


@dataclass(frozen=True)
class Speech:
    """``links`` are the pages that it cites."""

    text: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    text: str


@dataclass(frozen=True)
class Called:
    """``arguments`` is JSON without white space, so that vendors that send an object tell the same text."""

    id: str
    name: str
    arguments: str


Said = Thought | Speech | Refused | Called


@dataclass(frozen=True)
class Answer:
    parts: tuple[Said, ...]
    finish: FinishReason = FinishReason.STOP
    usage: Usage = field(default_factory=lambda: Usage(20, 15))

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Speech))

    @property
    def refusal(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Refused))

    @property
    def thoughts(self) -> list[str]:
        return [part.text for part in self.parts if isinstance(part, Thought) and part.text]

    @property
    def calls(self) -> list[Called]:
        return [part for part in self.parts if isinstance(part, Called)]

    @property
    def links(self) -> list[str]:
        return [link for part in self.parts if isinstance(part, Speech) for link in part.links]

    @property
    def proofs(self) -> list[str]:
        return [part.proof for part in self.parts if isinstance(part, Thought) and part.proof]


def as_told(answer: Answer, dialect: DialectName) -> Answer:
    """What of the answer the vendor has words for."""
    parts = [told for part in answer.parts if (told := _as_told(part, dialect)) is not None]
    usage = answer.usage
    if dialect is not MESSAGES and dialect is not CHAT:
        usage = replace_usage(usage, cache_write_tokens=0)
    return replace(answer, parts=tuple(parts), usage=usage)


def _as_told(part: Said, dialect: DialectName) -> Said | None:
    if isinstance(part, Thought):
        if part.is_redacted and dialect in (RESPONSES, GEMINI):
            return None
        if dialect is RESPONSES and part.proof:
            return replace(part, id=part.id or f"rs_{part.proof[:6].strip('=')}")
        return part if part.text or part.proof else None
    if isinstance(part, Refused) and dialect in (MESSAGES, GEMINI):
        return Speech(part.text)
    return part


def replace_usage(usage: Usage, **counts: int) -> Usage:
    return Usage(**{name: counts.get(name, getattr(usage, name)) for name in Usage.__struct_fields__})


def tell(answer: Answer, dialect: DialectName) -> tuple[bytes, list[bytes]]:
    """A plain answer, and the same as a stream."""
    told = as_told(answer, dialect)
    plain, stream = _TELLERS[dialect](told)
    return _with_arguments(plain, told), [_with_arguments(event, told) for event in stream]


def _stand_in(call: Called) -> str:
    """Stands where arguments belong that are an object: their text must not change."""
    return f"arguments of {call.id}"


def _with_arguments(data: bytes, answer: Answer) -> bytes:
    for call in answer.calls:
        data = data.replace(json.dumps(_stand_in(call)).encode(), call.arguments.encode())
    return data


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


# --- OpenAI chat, with what OpenRouter adds -------------------------------------------------------------------------

_CHAT_HEAD = {"id": "chatcmpl-1", "created": 1715367049, "model": "m-1"}


def _chat_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def chat_details(answer: Answer) -> list[Json]:
    details: list[Json] = []
    for index, part in enumerate(part for part in answer.parts if isinstance(part, Thought)):
        if part.is_redacted:
            details.append({"type": "reasoning.encrypted", "data": part.proof, "index": index})
        elif part.proof:
            details.append({"type": "reasoning.text", "text": part.text, "index": index, "signature": part.proof})
        else:
            details.append({"type": "reasoning.text", "text": part.text, "index": index})
    return details


def _chat_annotations(answer: Answer) -> list[Json]:
    end = len(answer.text)
    return [
        {"type": "url_citation", "url_citation": {"url": link, "title": "T", "start_index": 0, "end_index": end}}
        for link in answer.links
    ]


def _tell_chat(answer: Answer) -> tuple[bytes, list[bytes]]:
    message: Json = {"role": "assistant", "content": answer.text or None}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if details := chat_details(answer):
        message["reasoning"] = "".join(answer.thoughts)
        message["reasoning_details"] = details
    if calls := answer.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if annotations := _chat_annotations(answer):
        message["annotations"] = annotations
    choice = {"index": 0, "message": message, "finish_reason": answer.finish.value}
    usage = _chat_usage(answer.usage)
    plain = {**_CHAT_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}
    return json.dumps(plain).encode(), [*_chat_stream(answer, annotations), *_chat_end(answer, usage)]


def _chunk(delta: Json, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({**_CHAT_HEAD, "choices": [choice]}).encode() + b"\n\n"


def _chat_stream(answer: Answer, annotations: list[Json]) -> Iterator[bytes]:
    yield _chunk({"role": "assistant", "content": ""})
    for detail in chat_details(answer):
        for piece in _halves(detail.pop("text", "")):
            head = {name: detail[name] for name in ("type", "index")}
            yield _chunk({"reasoning": piece, "reasoning_details": [{**head, "text": piece}]})
        if detail.keys() - {"type", "index"}:
            yield _chunk({"reasoning_details": [detail]})
    for piece in _halves(answer.text):
        yield _chunk({"content": piece})
    for piece in _halves(answer.refusal):
        yield _chunk({"refusal": piece})
    for index, call in enumerate(answer.calls):
        opened = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield _chunk({"tool_calls": [opened]})
        for piece in _halves(call.arguments):
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    if annotations:
        yield _chunk({"annotations": annotations})


def _chat_end(answer: Answer, usage: Json) -> Iterator[bytes]:
    yield _chunk({}, answer.finish.value)
    yield b"data: " + json.dumps({**_CHAT_HEAD, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


# --- OpenAI responses -----------------------------------------------------------------------------------------------


def _tell_responses(answer: Answer) -> tuple[bytes, list[bytes]]:
    items = [_item(part) for part in answer.parts]
    usage = answer.usage
    told: Json = {
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }
    }
    status = "completed"
    if answer.finish in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER):
        status = "incomplete"
        is_length = answer.finish is FinishReason.LENGTH
        told["incomplete_details"] = {"reason": "max_output_tokens" if is_length else "content_filter"}
    stream = [
        responses_api.start(),
        *(responses_api.streamed(place, item) for place, item in enumerate(items)),
        responses_api.end(*items, type=f"response.{status}", **told),
    ]
    return responses_api.answer(*items, status=status, **told), stream


def _item(part: Said) -> Json:
    if isinstance(part, Thought):
        return responses_api.thought(*((part.text,) if part.text else ()), proof=part.proof, id=part.id or "rs_1")
    if isinstance(part, Called):
        return responses_api.call(part.arguments, part.name, part.id)
    if isinstance(part, Refused):
        return responses_api.refusal(part.text)
    place = {"start_index": 0, "end_index": len(part.text)}
    links = [{"type": "url_citation", "url": link, "title": "T", **place} for link in part.links]
    return responses_api.message(part.text, annotations=links)


# --- Anthropic ------------------------------------------------------------------------------------------------------

_STOP_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}


def _tell_messages(answer: Answer) -> tuple[bytes, list[bytes]]:
    usage = answer.usage
    counts: Json = {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
    reason = _STOP_REASONS[answer.finish]
    plain = messages_api.answer(*map(_block, answer.parts), stop_reason=reason, usage=counts)
    stream = [
        messages_api.start({**counts, "output_tokens": 1}),
        messages_api.ping(),
        *(_streamed_block(index, part) for index, part in enumerate(answer.parts)),
        messages_api.end(reason, counts),
    ]
    return plain, stream


def _location(link: str) -> Json:
    return {
        "type": "web_search_result_location",
        "url": link,
        "title": "T",
        "cited_text": "C",
        "encrypted_index": "RWlz",
    }


def _block(part: Said) -> Json:
    if isinstance(part, Thought) and part.is_redacted:
        return {"type": "redacted_thinking", "data": part.proof}
    if isinstance(part, Thought):
        return {"type": "thinking", "thinking": part.text, "signature": part.proof or ""}
    if isinstance(part, Called):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": _stand_in(part)}
    links = part.links if isinstance(part, Speech) else ()
    return {"type": "text", "text": part.text, **({"citations": [_location(link) for link in links]} if links else {})}


def _streamed_block(index: int, part: Said) -> bytes:
    block = _block(part)
    deltas: list[Json] = []
    if isinstance(part, Called):
        block["input"] = {}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *_halves(part.arguments))]
    elif block["type"] == "thinking":
        block |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(part.text)]
        if isinstance(part, Thought) and part.proof:
            deltas.append({"type": "signature_delta", "signature": part.proof})
    elif block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
        deltas += [{"type": "citations_delta", "citation": citation} for citation in block.pop("citations", ())]
        block["text"] = ""
    return messages_api.block(index, block, *deltas)


# --- Gemini ---------------------------------------------------------------------------------------------------------

_GEMINI_REASONS = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
}


def _tell_gemini(answer: Answer) -> tuple[bytes, list[bytes]]:
    usage = answer.usage
    counts = {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    parts = list(gemini_parts(answer.parts))
    ending: Json = {"finishReason": _GEMINI_REASONS[answer.finish]}
    if answer.links:
        chunks = [{"web": {"uri": link, "title": "T"}} for link in answer.links]
        segment = {"startIndex": 0, "endIndex": len(answer.text.encode()), "text": answer.text}
        support = {"segment": segment, "groundingChunkIndices": list(range(len(chunks)))}
        ending["groundingMetadata"] = {"groundingChunks": chunks, "groundingSupports": [support]}
    stream = [_gemini([piece]) for part in parts for piece in _gemini_pieces(part)]
    whole = json.dumps(_candidate(parts, **ending) | {"usageMetadata": counts}).encode()
    return whole, [*map(_gemini_event, stream), _gemini_event(_candidate([], **ending) | {"usageMetadata": counts})]


def gemini_parts(parts: tuple[Said, ...]) -> Iterator[Json]:
    """A signature stands on the part behind its thought, on the call if words lead to one, or where there is no such
    part on an empty text."""
    signature = None
    for part, following in zip(parts, [*parts[1:], None], strict=False):
        if isinstance(part, Thought):
            signature = part.proof or signature
            if part.text:
                yield {"text": part.text, "thought": True}
            continue
        told: Json = {"text": part.text} if not isinstance(part, Called) else {}
        if isinstance(part, Called):
            told = {"functionCall": {"id": part.id, "name": part.name, "args": _stand_in(part)}}
        if signature is not None and not (isinstance(part, Speech) and isinstance(following, Called)):
            told["thoughtSignature"], signature = signature, None
        yield told
    if signature is not None:
        yield {"text": "", "thoughtSignature": signature}


def _gemini_pieces(part: Json) -> list[Json]:
    """A text comes in pieces, the first of which bears the signature."""
    pieces = _halves(part.get("text", ""))
    if len(pieces) < 2:
        return [part]
    rest = {name: value for name, value in part.items() if name != "thoughtSignature"}
    return [{**part, "text": pieces[0]}, {**rest, "text": pieces[1]}]


def _candidate(parts: list[Json], **more: Any) -> Json:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r1"}


def _gemini(parts: list[Json]) -> Json:
    return _candidate(parts)


def _gemini_event(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


_TELLERS = {CHAT: _tell_chat, RESPONSES: _tell_responses, MESSAGES: _tell_messages, GEMINI: _tell_gemini}
