"""That the translated target measures a translation, and nothing but that: both paths, on the upstream's own bytes."""

import json
from pathlib import Path

import pytest

from gateway.core.types import Capability, DialectName
from gateway.dialects import openai_chat
from gateway.flow import Translation
from loadtest.bench import parse_options
from loadtest.client import Answer, chat_body
from loadtest.process import Server
from loadtest.scenarios import GATEWAYS, Bench
from loadtest.upstream import ANSWER, MODEL, render_message, render_message_stream, render_stream
from providers import load
from tests.unit.loadtest.test_bench_upstream import body_of

SURFACE = next(
    surface
    for surface in load("anthropic").surfaces[Capability.CHAT]
    if surface.dialect is DialectName.ANTHROPIC_MESSAGES
)


def translated(chunks: int) -> list[bytes]:
    """What a client gets for each write of the upstream."""
    assert SURFACE.translator is not None
    assert SURFACE.translator.transducer is not None
    assert openai_chat.DIALECT.decode is not None
    assert openai_chat.DIALECT.encoder is not None
    request = openai_chat.DIALECT.decode(chat_body(stream=True, chunks=chunks, interval_ms=2))
    flow = Translation(SURFACE.translator.transducer(), openai_chat.DIALECT.encoder(request, 0))
    first, *others = render_message_stream(chunks)
    pieces = [flow.feed(body_of([first])), *(flow.feed(body_of([b"\r\n\r\n", write])) for write in others)]
    assert flow.is_complete
    return pieces


def test_the_client_gets_as_many_events_as_on_the_byte_path() -> None:
    answer = Answer()
    for piece in translated(50):
        answer.feed(piece)
    answer.check_stream(50 + 1 + 1)  # usage, [DONE]


def test_the_translated_stream_says_the_same_at_the_same_pace() -> None:
    pieces = translated(8)
    said = [json.loads(e[6:])["choices"] for e in b"".join(pieces).split(b"\n\n") if e.startswith(b"data: {")]
    words = "".join(choices[0]["delta"].get("content", "") for choices in said if choices)
    assert words == "".join(f" word{i}" for i in range(6))
    # the words come one a write, the end in one; the end of the block and the usage say nothing to this client
    assert [bool(piece) for piece in pieces] == [True] * 6 + [False, False, True]
    assert len(pieces) == len(render_stream(8, True))


def test_nothing_of_the_request_is_dropped_and_the_shape_gets_through() -> None:
    assert SURFACE.translator is not None
    assert openai_chat.DIALECT.decode is not None
    for stream in (False, True):
        body = chat_body(stream=stream, chunks=5, interval_ms=7)
        wire = SURFACE.translator.to_wire(openai_chat.DIALECT.decode(body), MODEL)
        assert wire.dropped == ()
        assert (b"chunks=5 interval_ms=7" in wire.body) is stream
        assert json.loads(wire.body)["temperature"] == 0.7


def test_the_plain_answer_is_read_whole() -> None:
    assert SURFACE.translator is not None
    events = SURFACE.translator.read_answer(render_message())
    assert [event.text for event in events if hasattr(event, "text")] == [ANSWER]


@pytest.mark.parametrize(
    ("name", "wanted"), [("sluice", "OPENAI"), ("sluice-translated", "ANTHROPIC")], ids=lambda value: str(value)
)
def test_both_gateways_are_set_up_alike_but_for_the_language_of_the_provider(
    name: str, wanted: str, tmp_path: Path
) -> None:
    upstream = Server([], port=1, env={}, directory=tmp_path, cpus=None)
    bench = Bench(parse_options([]), directory=tmp_path, upstream=upstream, gateway_cpus=None, streams=1)
    command, environment = bench.sluice(2, GATEWAYS[name])
    assert command == bench.sluice(2, "ANY")[0]
    assert environment == {
        f"{wanted}_API_KEY": "x",
        f"{wanted}_BASE_URL": "http://127.0.0.1:1/v1",
        f"{wanted}_MODELS": MODEL,
        "SLUICE_MASTER_KEY": bench.key,
    }
