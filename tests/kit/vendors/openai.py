"""OpenAI's API: chat completions, Responses, embeddings, moderations and models."""

import base64
import itertools
import struct

from tests.kit.vendors import openai_chat
from tests.kit.vendors.openai_responses import Responses
from tests.kit.vendors.server import Asked, Json, Refusal, Reply, Vendor, require

MODELS = ("gpt-5.5", "gpt-4o", "text-embedding-3-small")
VECTOR = (0.5, -0.25)


class OpenAIVendor(Vendor):
    def __enter__(self) -> "OpenAIVendor":
        super().__enter__()
        self._numbers = itertools.count(1)
        self._responses = Responses(self._numbers, self.hear)
        return self

    def answer(self, asked: Asked) -> Reply:
        require(asked.headers.get("authorization", "").startswith("Bearer "), "no credentials")
        path = asked.path.removeprefix("/v1")
        if path == "/models":
            listed = [
                {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "openai"} for name in MODELS
            ]
            return Reply({"object": "list", "data": listed})
        if path == "/chat/completions":
            return openai_chat.complete(asked.body, self._numbers, self.hear)
        if path == "/responses":
            return self._responses.create(asked.body)
        if path == "/responses/input_tokens":
            return Reply({"object": "response.input_tokens", "input_tokens": 42})
        if path.startswith("/responses/"):
            id, _, rest = path.removeprefix("/responses/").partition("/")
            return self._responses.kept(asked.method, id, rest)
        if path == "/embeddings":
            return Reply(_embeddings(asked.body))
        if path == "/moderations":
            result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
            return Reply({"id": "modr_1", "model": asked.body["model"], "results": [result]})
        raise Refusal(f"Invalid URL ({asked.method} {asked.path})", 404)

    def refuse(self, refusal: Refusal) -> Reply:
        error = {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": None}
        return Reply({"error": error}, refusal.status)


def _embeddings(body: Json) -> Json:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    value = packed if body.get("encoding_format") == "base64" else list(VECTOR)
    listed = [{"object": "embedding", "index": index, "embedding": value} for index in range(len(texts))]
    return {"object": "list", "data": listed, "model": body["model"], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
