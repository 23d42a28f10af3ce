"""What goes up to OpenAI from every client dialect is taken there: by its API, and by each family of its models."""

import itertools
import json
from typing import Any

import pytest

from gateway.core.types import ChatRequest, DialectName
from providers.contract import ProviderRequest
from tests.kit.pairs import SCHEMA, SIDES, Side, decode, every_client, every_side, first_turn
from tests.kit.vendors import openai_chat
from tests.kit.vendors.mind import Question, Said
from tests.kit.vendors.openai_responses import Responses
from tests.kit.vendors.server import Refusal

Json = dict[str, Any]
CHAT = DialectName.OPENAI_CHAT
RESPONSES = DialectName.OPENAI_RESPONSES
MESSAGES = DialectName.ANTHROPIC_MESSAGES
OPENAI = [side for side in SIDES if side.provider == "openai"]
OLDER = ("gpt-4o", "gpt-5", "gpt-5-nano", "gpt-5.1")
NEWER = ("gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-5.6-luna", "gpt-6-sol")
EFFORTS = (None, "none", "low")


def served(request: ChatRequest, model: str) -> Side:
    return next(side for side in OPENAI if side.surface.suits is None or side.surface.suits(request, model))


def take(side: Side, wire: ProviderRequest) -> Json:
    """The body that went up. Raises ``Refusal`` as the vendor does."""
    body: Json = json.loads(wire.body)
    if side.dialect is CHAT:
        openai_chat.complete(body, itertools.count(), _say)
    else:
        Responses(itertools.count(), _say).create(body)
    return body


def _say(question: Question) -> Said:
    return Said("", "Hello", ())


def asked(client: DialectName, effort: str | None, **members: Any) -> Json:
    body = {name: value for name, value in first_turn(client).items() if name not in ("reasoning_effort", "reasoning")}
    body.pop("thinking", None)
    if effort is None:
        return {**body, **members}
    if client is CHAT:
        wish: Json = {"reasoning_effort": effort}
    elif client is RESPONSES:
        wish = {"reasoning": {"effort": effort}}
    elif effort == "none":
        wish = {"thinking": {"type": "disabled"}}
    else:
        wish = {"output_config": {"effort": effort}}
    return {**body, **wish, **members}


# --- tools and reasoning --------------------------------------------------------------------------------------------


@every_client
@pytest.mark.parametrize("model", OLDER + NEWER)
@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("stop", [None, ["END"]])
def test_tools_are_taken(client: DialectName, model: str, effort: str | None, stop: list[str] | None) -> None:
    word = "stop_sequences" if client is MESSAGES else "stop"
    request = decode(client, asked(client, effort, **({word: stop} if stop else {})))
    side = served(request, model)
    wire = side.ask(request, model)
    body = take(side, wire)
    assert [tool.get("name") or tool["function"]["name"] for tool in body["tools"]] == ["look"]
    assert body.get("stop") == request.stop
    sent = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    is_no_loss = model == "gpt-4o" and effort == "none"
    assert sent == effort or is_no_loss or "reasoning_effort" in wire.dropped


@every_client
@pytest.mark.parametrize("model", OLDER)
def test_older_models_keep_to_chat(client: DialectName, model: str) -> None:
    assert served(decode(client, asked(client, None)), model).dialect is CHAT


def test_the_vendor_refuses_what_went_up_before() -> None:
    request = decode(MESSAGES, asked(MESSAGES, None))
    (side,) = (side for side in OPENAI if side.dialect is CHAT)
    body = json.loads(side.ask(request, "gpt-5.6").body)
    del body["reasoning_effort"]
    with pytest.raises(Refusal, match="Function tools with reasoning_effort"):
        take(side, ProviderRequest(json.dumps(body).encode()))


# --- strict schemas -------------------------------------------------------------------------------------------------

LOOSE: Json = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}, "additionalProperties": False}


def with_tool(client: DialectName, schema: Json) -> Json:
    tool: Json = {"name": "look", "strict": True}
    if client is CHAT:
        return asked(client, None, tools=[{"type": "function", "function": {**tool, "parameters": schema}}])
    if client is RESPONSES:
        return asked(client, None, tools=[{"type": "function", **tool, "parameters": schema}])
    return asked(client, None, tools=[{**tool, "input_schema": schema}])


def with_format(client: DialectName, schema: Json) -> Json:
    named = {"name": "answer", "schema": schema, "strict": True}
    if client is CHAT:
        return asked(client, None, response_format={"type": "json_schema", "json_schema": named})
    if client is RESPONSES:
        return asked(client, None, text={"format": {"type": "json_schema", **named}})
    return asked(client, None, output_config={"format": {"type": "json_schema", "schema": schema}})


def strictness(side: Side, body: Json) -> tuple[bool | None, bool | None]:
    """Of the tool and of the format."""
    (tool,) = body["tools"]
    if side.dialect is RESPONSES:
        return tool["strict"], body.get("text", {}).get("format", {}).get("strict")
    schema = body.get("response_format", {}).get("json_schema", {})
    return tool["function"].get("strict"), schema.get("strict")


@every_client
@pytest.mark.parametrize("side", OPENAI, ids=lambda side: str(side.dialect))
@pytest.mark.parametrize(("schema", "is_strict"), [(SCHEMA, True), (LOOSE, False)], ids=["fitting", "loose"])
def test_what_can_be_strict_is_and_the_rest_is_named(
    client: DialectName, side: Side, schema: Json, is_strict: bool
) -> None:
    wire = side.ask(decode(client, with_tool(client, schema)))
    assert strictness(side, take(side, wire))[0] is is_strict
    assert ("tools.strict" in wire.dropped) is not is_strict
    wire = side.ask(decode(client, with_format(client, schema)))
    assert strictness(side, take(side, wire))[1] is is_strict
    assert ("response_format.strict" in wire.dropped) is not is_strict


@every_side
@pytest.mark.parametrize("schema", [SCHEMA, LOOSE], ids=["fitting", "loose"])
def test_no_other_vendor_hears_of_a_strict_format(side: Side, schema: Json) -> None:
    wire = side.ask(decode(MESSAGES, with_format(MESSAGES, schema)))
    if side.dialect not in (CHAT, RESPONSES):
        assert "response_format.strict" not in wire.dropped
        assert '"strict"' not in wire.body.decode()
