"""The dialects of which nothing but the model is read: JSON and forms."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_MODEL_ID_CHARS
from gateway.dialects import openai_form, openai_json

# --- JSON -------------------------------------------------------------------------------------------------------------


def test_model_and_stream_are_read_and_everything_else_is_not() -> None:
    body = b'{"prompt":5,"stream":true,"stream_options":{"include_usage":true,"x":1},"model":"tts-1","odd":[{}]}'
    envelope = openai_json.read_envelope(body)
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("tts-1", True, True)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_usage_is_asked_for_in_one_way_only(options: Any) -> None:
    envelope = openai_json.read_envelope(json.dumps({"model": "m", "stream_options": options}).encode())
    assert (envelope.stream, envelope.include_usage) == (None, False)
    assert envelope.continues is envelope.conversation_id is None
    assert not envelope.is_stored


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model":null}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":5}', "model"),
        (b'{"model":"%b"}' % (b"m" * (MAX_MODEL_ID_CHARS + 1)), "model"),
        (b'{"model":"m","stream":"yes"}', "stream"),
        (b'{"model":"m","stream_options":[]}', "stream_options"),
        (b'{"model":"m","stream_options":{"include_usage":1}}', "stream_options.include_usage"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        openai_json.read_envelope(body)
    assert refused.value.param == param


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(_json | st.dictionaries(st.sampled_from(["model", "stream", "stream_options"]), _json))
def test_any_json_is_read_or_refused(given: Any) -> None:
    try:
        envelope = openai_json.read_envelope(json.dumps(given).encode())
    except BadRequest:
        return
    assert envelope.model == given["model"]
    assert envelope.stream == given.get("stream")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert openai_json.read_envelope(body).model


def test_another_model_is_all_that_changes() -> None:
    body = b'{"input" : "\\u00e9",\n"model" : "mine/m" ,"x":{"model":"inner"},"n":1.0e0}'
    envelope = openai_json.read_envelope(body)
    changed = openai_json.DIALECT.with_model(body, envelope, "m")
    assert changed == body.replace(b'"mine/m"', b'"m"')


# --- forms ------------------------------------------------------------------------------------------------------------

TYPE = "multipart/form-data; boundary=XX"
SOUND = b"\x00\xff\r\n--X\r\n"


def form(**fields: str) -> bytes:
    """With a file in it, as clients send it first."""
    parts = [b'name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n' + SOUND]
    parts += [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    return b"".join(b"--XX\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--XX--\r\n"


def test_a_forms_model_is_read_and_its_file_is_not() -> None:
    envelope = openai_form.read_form(form(model="whisper-1", language="en"), TYPE)
    assert (envelope.model, envelope.stream) == ("whisper-1", False)


@pytest.mark.parametrize(
    ("word", "is_stream"),
    [("true", True), ("True", True), ("1", True), ("on", True), ("false", False), ("0", False), ("", False)],
)
def test_a_form_spells_yes_in_many_ways(word: str, is_stream: bool) -> None:
    assert openai_form.read_form(form(stream=word, model="m"), TYPE).stream is is_stream


def test_of_a_form_only_the_model_changes() -> None:
    body = form(prompt="whisper-1", model="mine/whisper-1", language="en")
    envelope = openai_form.read_form(body, TYPE)
    changed = openai_form.with_model(body, envelope, "whisper-1")
    assert changed == body.replace(b"mine/whisper-1", b"whisper-1")
    assert SOUND in changed


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(language="en"), TYPE),
        (form(model=""), TYPE),
        (form(model="m" * (MAX_MODEL_ID_CHARS + 1)), TYPE),
    ],
)
def test_a_form_without_a_model_is_refused_by_name(body: bytes, content_type: str) -> None:
    with pytest.raises(BadRequest) as refused:
        openai_form.read_form(body, content_type)
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(model="m"), ""),
        (form(model="m"), "application/json"),
        (form(model="m"), "multipart/form-data"),
        (form(model="m"), "multipart/form-data; boundary=YY"),
        (form(model="m")[:-10], TYPE),
        (b"", TYPE),
        (b'{"model":"m"}', TYPE),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(BadRequest):
        openai_form.read_form(body, content_type)


@pytest.mark.parametrize("dialect", [openai_json.DIALECT, openai_form.DIALECT])
def test_they_are_carried_and_never_translated(dialect: Any) -> None:
    assert dialect.decode is dialect.encoder is None
    error = json.loads(dialect.error_body(BadRequest("No.", param="model")))
    assert error["error"]["param"] == "model"
