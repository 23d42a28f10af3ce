"""The provider inside the gateway: it needs no key and no network, and answers when no other provider is configured.

It speaks OpenAI's wire language and answers the same request body with the same bytes, always. What it says, and how
delays and failures are asked for with the field ``simulate``, is in ``docs/simulator.md``; the parts are in
``providers/simulation``.
"""

import hashlib
from collections.abc import Callable

from gateway.core.types import Capability, Model
from providers import openai_like
from providers.contract import Provider, Script
from providers.simulation.chat_answer import read_conversation, write_answers
from providers.simulation.chat_request import read_chat
from providers.simulation.chat_wire import Reply, event_stream, plain_body
from providers.simulation.directives import settle
from providers.simulation.embeddings import embed, read_embeddings
from providers.simulation.refusals import RefusedError
from providers.simulation.scripts import plain_script, refusal_script, stream_script

CHAT_MODELS = ("sim-small", "sim-large")
EMBEDDING_MODELS = ("sim-embed",)

# Answers carry a time although nothing here has a clock: a second of the year 2026, chosen by the request.
YEAR_2026 = 1_767_225_600
_SECONDS_A_YEAR = 31_536_000

Headers = tuple[tuple[bytes, bytes], ...]


def simulate(capability: Capability, body: bytes) -> Script:
    """What is answered to ``body``. Never raises: wrong requests are answered with an error status."""
    digest = hashlib.blake2b(body, digest_size=32).digest()
    headers = ((b"x-request-id", b"req_%b" % digest.hex().encode()[:32]),)
    try:
        return _ANSWERS.get(capability, _nothing)(body, digest, headers)
    except RefusedError as refused:
        return refusal_script(refused, headers)


def _chat(body: bytes, digest: bytes, headers: Headers) -> Script:
    request = read_chat(body)
    _check_model(request.model, CHAT_MODELS, EMBEDDING_MODELS)
    directives = settle(request.simulate, digest)
    conversation = read_conversation(request)
    reply = Reply(
        id=f"chatcmpl-{digest.hex()[:29]}",
        created=YEAR_2026 + int.from_bytes(digest[-4:], "big") % _SECONDS_A_YEAR,
        model=request.model,
        answers=write_answers(request, conversation, directives),
        prompt_tokens=conversation.prompt_tokens,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )
    if not request.stream:
        return plain_script(plain_body(reply), reply.completion_tokens, directives, headers)
    include_usage = request.stream_options is not None and bool(request.stream_options.include_usage)
    return stream_script(event_stream(reply, include_usage), directives, headers)


def _embeddings(body: bytes, digest: bytes, headers: Headers) -> Script:
    request = read_embeddings(body)
    _check_model(request.model, EMBEDDING_MODELS, CHAT_MODELS)
    directives = settle(request.simulate, digest)
    answer, tokens = embed(request)
    return plain_script(answer, tokens, directives, headers)


def _nothing(_body: bytes, _digest: bytes, _headers: Headers) -> Script:
    raise RefusedError("The simulator has no such endpoint.", status=404, code="unknown_url")


def _check_model(model: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    if model in right:
        return
    if model in wrong:
        raise RefusedError(
            f"The model `{model}` does not do this; use {' or '.join(right)}.",
            param="model",
            code="model_not_supported",
        )
    raise RefusedError(
        f"The model `{model}` does not exist or you do not have access to it.",
        status=404,
        param="model",
        code="model_not_found",
    )


_ANSWERS: dict[Capability, Callable[[bytes, bytes, Headers], Script]] = {
    Capability.CHAT: _chat,
    Capability.EMBEDDINGS: _embeddings,
}

PROVIDER = Provider(
    name="simulator",
    title="Simulator",
    base_url="",
    surfaces={
        Capability.CHAT: (openai_like.chat_surface(),),
        Capability.EMBEDDINGS: (openai_like.embeddings_surface(),),
    },
    read_error=openai_like.read_error,
    needs_key=False,
    simulate=simulate,
    models=tuple(Model(id=name, created=YEAR_2026, owned_by="simulator") for name in (*CHAT_MODELS, *EMBEDDING_MODELS)),
)
