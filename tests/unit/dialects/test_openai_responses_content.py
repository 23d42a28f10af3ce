import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import Audio, File, Image, Refusal, Text
from gateway.dialects.openai_responses_request import decode

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,QUJD"


def parts(*content: Any, role: str = "user") -> list:
    body = json.dumps({"model": "m", "input": [{"role": role, "content": list(content)}]}).encode()
    [message] = decode(body).messages
    return message.parts


def refused(*content: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parts(*content)
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"type": "input_text", "text": "Hi"}, Text("Hi")),
        ({"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}, Text("Hi")),
        ({"type": "refusal", "refusal": "No."}, Refusal("No.")),
        (
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
            Image(url="https://example.com/a.png", detail="high"),
        ),
        (
            {"type": "input_image", "image_url": PNG, "file_id": None, "detail": None},
            Image(data="iVBORw0KGgo=", media_type="image/png"),
        ),
        ({"type": "input_image", "image_url": None, "file_id": "file-1"}, Image(file_id="file-1")),
        ({"type": "input_image", "image_url": PDF}, File(data="QUJD", media_type="application/pdf")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
            File(data="QUJD", media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, File(url="https://example.com/a.pdf")),
        ({"type": "input_file", "file_id": "file-1"}, File(file_id="file-1")),
        ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, Audio("QUJD", "wav")),
    ],
)
def test_each_kind_of_part_is_read(given, found):
    assert parts(given) == [found]


def test_order_is_kept():
    found = parts({"type": "input_text", "text": "a"}, {"type": "input_image", "file_id": "f"}, TEXT)
    assert found == [Text("a"), Image(file_id="f"), Text("t")]


TEXT = {"type": "input_text", "text": "t"}


def test_what_clients_add_is_kept():
    citation = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}
    [text] = parts({"type": "output_text", "text": "a", "annotations": [citation], "logprobs": None}, role="assistant")
    assert plain(text.extra) == {"annotations": [citation]}
    [image] = parts({"type": "input_image", "file_id": "f", "prompt_cache_breakpoint": {"a": 1}})
    assert plain(image.extra) == {"prompt_cache_breakpoint": {"a": 1}}
    [audio] = parts({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav", "x": 1}, "y": 2})
    assert plain(audio.extra) == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("a", "input[0].content[0]"),
        ({}, "input[0].content[0].type"),
        ({"type": 5}, "input[0].content[0].type"),
        ({"type": "input_text"}, "input[0].content[0].text"),
        ({"type": "input_text", "text": 5}, "input[0].content[0].text"),
        ({"type": "input_image"}, "input[0].content[0]"),
        ({"type": "input_image", "image_url": PNG, "file_id": "f"}, "input[0].content[0]"),
        ({"type": "input_image", "image_url": {"url": PNG}}, "input[0].content[0].image_url"),
        ({"type": "input_image", "image_url": "a.png"}, "input[0].content[0].image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,!"}, "input[0].content[0].image_url"),
        ({"type": "input_file"}, "input[0].content[0]"),
        ({"type": "input_file", "file_id": "f", "file_url": "https://example.com/a"}, "input[0].content[0]"),
        ({"type": "input_file", "file_url": "a"}, "input[0].content[0].file_url"),
        ({"type": "input_audio", "input_audio": {"data": "QUJD"}}, "input[0].content[0].input_audio.format"),
    ],
)
def test_a_wrong_part_is_named(part, place):
    assert refused(part).param == place


def test_an_unknown_kind_of_part_is_refused_by_name():
    error = refused({"type": "hologram"})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "input[0].content[0].type"
    assert "'hologram'" in error.message


def test_the_number_of_parts_is_bounded():
    assert len(parts(*[TEXT] * MAX_MESSAGE_PARTS)) == MAX_MESSAGE_PARTS
    assert refused(*[TEXT] * (MAX_MESSAGE_PARTS + 1)).param == "input[0].content"
