import copy
import json
import logging
import pickle
import pprint
import traceback
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import types
from gateway.core.secret import Secret
from gateway.core.types import Usage, raw_json

TEXT = "sk-verysecret"


# --- Secret -------------------------------------------------------------------------------------------------------


class Holder(msgspec.Struct):
    key: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        ascii,
        format,
        pprint.pformat,
        lambda secret: f"{secret}|{secret!r}|{secret!s}|{secret:>30}|{secret!a:x<20}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - one more way to print
        lambda secret: "{0} {0:^20}".format(secret),  # noqa: UP032
        lambda secret: repr([secret, {secret: secret}, (secret,)]),
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(ValueError(secret)),
        lambda secret: repr(vars(secret) if hasattr(secret, "__dict__") else dir(secret)),
    ],
)
def test_no_way_of_printing_shows_a_secret(show: typing.Callable[[Secret], str]) -> None:
    shown = show(Secret(TEXT))
    assert shown
    assert TEXT not in shown


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        lambda secret: msgspec.json.encode(Holder(secret)),
        lambda secret: msgspec.to_builtins(Holder(secret)),
        pickle.dumps,
        lambda secret: pickle.dumps(secret, 0),
        lambda secret: pickle.dumps(Holder(secret)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_no_way_of_writing_takes_a_secret(write: typing.Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        write(Secret(TEXT))
    assert TEXT not in str(caught.value)


def test_a_secret_stays_out_of_logs_and_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(TEXT)
    try:
        raise RuntimeError("no connection", secret)
    except RuntimeError:
        logging.getLogger("test").exception("with %s and %r", secret, [secret])
        shown = traceback.format_exc()
    assert "Secret('***')" in caplog.text
    assert TEXT not in caplog.text + shown


def test_a_secret_is_revealed_by_asking() -> None:
    assert Secret(TEXT).reveal() == TEXT


@given(st.text(), st.text())
def test_secrets_are_equal_when_their_texts_are(one: str, other: str) -> None:
    assert Secret(one) == Secret(str(one))
    assert hash(Secret(one)) == hash(Secret(one))
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one) != one


# --- the nouns ----------------------------------------------------------------------------------------------------


def members(union: object) -> list[type]:
    return list(typing.get_args(union))


@pytest.mark.parametrize("union", [types.Event, types.Part], ids=["Event", "Part"])
def test_members_of_a_union_can_be_told_apart(union: object) -> None:
    tags = [member.__struct_config__.tag for member in members(union)]
    assert len(set(tags)) == len(tags)
    msgspec.json.Decoder(union)  # refuses ambiguous unions


def test_every_event_survives_json() -> None:
    events: list[types.Event] = [
        types.Start(id="1", model="m", created=2),
        types.TextDelta("a"),
        types.RefusalDelta("no", choice=1),
        types.ReasoningDelta(text="hm", block=1, signature="s"),
        types.ToolCallDelta(position=0, id="c", name="f", arguments="{"),
        types.ContentDelta(field="annotations", value=raw_json({"url": "u"})),
        types.Vector(0, [0.25, -1.0]),
        types.UsageReport(Usage(input_tokens=3, output_tokens=4)),
        types.Finish(types.FinishReason.TOOL_CALLS, native="tool_use"),
        types.Fault("cut"),
    ]
    assert [type(e) for e in events] == members(types.Event)
    wire = msgspec.json.encode(events)
    again = msgspec.json.decode(wire, type=list[types.Event])
    assert msgspec.json.encode(again) == wire
    assert [type(e) for e in again] == [type(e) for e in events]


def test_two_requests_do_not_share_their_extras() -> None:
    one, other = (types.ChatRequest(model="m", messages=[]) for _ in range(2))
    one.extra["seed"] = raw_json(1)
    assert other.extra == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_raw_json_is_what_json_says(value: object) -> None:
    assert json.loads(bytes(raw_json(value))) == value
    assert json.loads(msgspec.json.encode({"field": raw_json(value)})) == {"field": value}


def test_words_of_the_closed_sets_are_the_wire_words() -> None:
    assert [r.value for r in types.FinishReason] == ["stop", "length", "tool_calls", "content_filter"]
    assert [r.value for r in types.Role] == ["system", "developer", "user", "assistant", "tool"]
