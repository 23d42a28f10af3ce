"""Google's generateContent, with the rules that its clients and gateways trip over.

Source: ai.google.dev/api/generate-content; "Thought signatures", "Function calling" (2026-11).
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

from tests.kit.vendors.mind import Question, Said, Tool, heard, pieces
from tests.kit.vendors.server import Asked, Json, Refusal, Reply, Vendor, require, require_known
from tests.kit.vendors.words import data, names

_FIELDS = names(
    "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels serviceTier store"
)
_CONFIG = names(
    "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount "
    "maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs "
    "thinkingConfig mediaResolution speechConfig imageConfig"
)
_FUNCTION = ("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior")
# Of an OpenAPI subset ("Schema" in the API reference).
_SCHEMA = names(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties "
    "minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum"
)
_UNSIGNED = "skip_thought_signature_validator"
_USAGE = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 5,
    "candidatesTokenCount": 8,
    "thoughtsTokenCount": 7,
    "totalTokenCount": 35,
}
MODELS = ("gemini-3-pro", "gemini-embedding-001")


def sign(call: Json | str) -> str:
    """The signature that belongs to a function call or a text. It is base64 in the standard alphabet."""
    return "EsINCr8N+/" + hashlib.sha256(repr(call).encode()).hexdigest() + "=="


class GeminiVendor(Vendor):
    """A model of the third generation: it signs what it does, and wants the signatures back."""

    def __enter__(self) -> "GeminiVendor":
        super().__enter__()
        self._numbers = itertools.count(1)
        return self

    def answer(self, asked: Asked) -> Reply:
        require("x-goog-api-key" in asked.headers, "API key not valid")
        if asked.method == "GET":
            return Reply({"models": [{"name": f"models/{name}", "displayName": name.title()} for name in MODELS]})
        model, _, method = asked.path.rpartition("/")[2].partition(":")
        if method == "batchEmbedContents":
            return Reply({"embeddings": [{"values": [0.5, -0.25]} for _ in asked.body["requests"]]})
        if method == "countTokens":
            return Reply({"totalTokens": 42})
        require(method in ("generateContent", "streamGenerateContent"), f"no method {method}")
        _check(asked.body)
        said = self.hear(_question(asked.body))
        parts = list(self._parts(said))
        if method == "generateContent":
            return Reply(self._chunk(model, parts, "STOP"))
        require(asked.query == "alt=sse", "only alt=sse is played here")
        opened = [piece for part in parts for piece in _split(part)]
        chunks = [self._chunk(model, [part]) for part in opened] + [self._chunk(model, [{"text": ""}], "STOP")]
        return Reply([data(chunk, "\r\n") for chunk in chunks])

    def refuse(self, refusal: Refusal) -> Reply:
        error = {"code": refusal.status, "message": str(refusal), "status": "INVALID_ARGUMENT"}
        return Reply({"error": error}, refusal.status)

    def _chunk(self, model: str, parts: list[Json], reason: str | None = None) -> Json:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if reason:
            candidate["finishReason"] = reason
        return {"candidates": [candidate], "usageMetadata": _USAGE, "modelVersion": model, "responseId": "g1"}

    def _parts(self, said: Said) -> Iterator[Json]:
        """Each step is signed once: on its first function call, or on its text."""
        if said.thought:
            yield {"text": said.thought, "thought": True}
        if said.text:
            yield {"text": said.text, "thoughtSignature": sign(said.text)}
        for place, call in enumerate(said.calls):
            made = {"name": call.tool.name, "args": call.arguments, "id": f"g{next(self._numbers):04d}"}
            yield {"functionCall": made, **({"thoughtSignature": sign(_essence(made))} if place == 0 else {})}


def _essence(call: Json) -> Json:
    return {"name": call["name"], "args": call.get("args", {})}


def _split(part: Json) -> list[Json]:
    """A text in pieces; its signature comes behind them, on an empty one."""
    if "text" not in part:
        return [part]
    marks = {name: value for name, value in part.items() if name == "thought"}
    split = [{"text": piece, **marks} for piece in pieces(part["text"])]
    return split if marks else [*split, {**part, "text": ""}]


# --- what is asked ----------------------------------------------------------------------------------------------------


def _text(parts: list[Json]) -> str:
    return "\n".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def _result(response: Json) -> str:
    """What a function said: by Google's convention in ``result`` or ``output``."""
    values = [response[name] for name in ("result", "output", "error") if name in response] or [response]
    return values[0] if isinstance(values[0], str) else repr(values[0])


def _question(body: Json) -> Question:
    text, results = "", []
    for content in body["contents"]:
        parts = content["parts"]
        told = [_result(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part]
        if told:
            results += told
        elif content.get("role", "user") == "user" and heard(_text(parts)):
            text, results = heard(_text(parts)), []
    config = body.get("generationConfig", {})
    return Question(
        text=text,
        results=tuple(results),
        tools=tuple(_tools(body)),
        choice=_choice(body),
        schema=config.get("responseJsonSchema", config.get("responseSchema")),
        thinks=config.get("thinkingConfig", {}).get("includeThoughts", False),
        proofs=tuple(_proofs(body)),
    )


def _proofs(body: Json) -> Iterator[str]:
    for content in body["contents"]:
        signatures = [part["thoughtSignature"] for part in content["parts"] if "thoughtSignature" in part]
        yield from (signature for signature in signatures if signature != _UNSIGNED)


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            schema = function.get("parametersJsonSchema", function.get("parameters", {"type": "object"}))
            yield Tool(function["name"], schema)


def _choice(body: Json) -> str:
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if allowed := calling.get("allowedFunctionNames"):
        require(calling["mode"] in ("ANY", "VALIDATED"), "allowedFunctionNames only with mode ANY")
        return f"={allowed[0]}" if len(allowed) == 1 else "any"
    return {"ANY": "any", "NONE": "none"}.get(calling.get("mode", "AUTO"), "auto")


# --- rules ------------------------------------------------------------------------------------------------------------


def _check(body: Json) -> None:
    require_known(body, _FIELDS)
    require_known(body.get("generationConfig", {}), _CONFIG, "generationConfig")
    for tool in body.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            require_known(function, _FUNCTION, "functionDeclarations")
            _check_schema(function.get("parameters"), "parameters")
    _check_schema(body.get("generationConfig", {}).get("responseSchema"), "responseSchema")
    require(body["contents"], "contents is not specified")
    _check_turns(body["contents"])


def _check_schema(schema: Any, place: str) -> None:
    if isinstance(schema, dict):
        require_known(schema, _SCHEMA, place)
        for name, value in schema.get("properties", {}).items():
            _check_schema(value, f"{place}.{name}")
        _check_schema(schema.get("items"), f"{place}.items")


def _check_turns(contents: list[Json]) -> None:
    """A turn of calls is followed by their responses, and each step of the last turn has its signature."""
    open_names: list[str] = []
    questions = [n for n, c in enumerate(contents) if c.get("role") == "user" and not _has(c, "functionResponse")]
    for number, content in enumerate(contents):
        require(content.get("role", "user") in ("user", "model"), f"contents[{number}]: bad role")
        require(content["parts"], f"contents[{number}]: parts must not be empty")
        responses = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        is_right = sorted(responses) == sorted(open_names)
        require(is_right, f"contents[{number}]: function responses {responses} do not equal the calls {open_names}")
        calls = [part for part in content["parts"] if "functionCall" in part]
        open_names = [part["functionCall"]["name"] for part in calls]
        if calls and number > (questions or [-1])[-1]:
            _check_signature(calls[0], f"contents[{number}]")
    require(not open_names, f"function calls without responses: {open_names}")


def _has(content: Json, name: str) -> bool:
    return any(name in part for part in content["parts"])


def _check_signature(part: Json, place: str) -> None:
    signature = part.get("thoughtSignature")
    require(signature is not None, f"{place}: Function call is missing a thought_signature")
    is_own = signature in (sign(_essence(part["functionCall"])), _UNSIGNED)
    require(is_own, f"{place}: Thought signature is not valid")
