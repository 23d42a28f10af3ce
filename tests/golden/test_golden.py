"""Whole exchanges, written down by hand: what a client asks, what goes up, what comes back and what the client reads.

A folder is a case; its name begins with the provider that is asked. It holds

    client_request.json     upstream_request.json     upstream_response[.STATUS].*     client_response[.STATUS].*

and sometimes ``upstream_headers.json`` and ``client_headers.json``, headers that must be among those that go up and
down. The request comes from the client's hand, the response from the provider's. Between dialects what we write is
compared as JSON where it is a whole document, and byte for byte where it is a stream; within one dialect every byte
counts on both ways. Every case is replayed with its response cut at different places.

There is no command that writes these files anew: a difference is read by somebody before it becomes the truth.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit.anthropic_types import check_message_request
from tests.kit.feeds import cut_at
from tests.kit.gateway import Gateway
from tests.kit.upstream import ScriptedUpstream, config_for, stream

HERE = Path(__file__).parent
MEDIA_TYPES = {
    "json": "application/json",
    "sse": "text/event-stream; charset=utf-8",
    "html": "text/html",
    "txt": "text/plain",
}
# an answer of another dialect gets the time at which it was read
CREATED = re.compile(rb'"created":[0-9]+')


class Recorded(NamedTuple):
    """One side's response."""

    status: int
    kind: str
    body: bytes


class Case(NamedTuple):
    name: str
    client_request: bytes
    upstream_request: bytes
    upstream_response: Recorded
    client_response: Recorded
    upstream_headers: dict[str, str]
    client_headers: dict[str, str]

    @property
    def provider(self) -> str:
        return self.name.partition("-")[0]

    @property
    def is_forwarded(self) -> bool:
        return self.provider == "openai"


def _read_response(folder: Path, side: str) -> Recorded:
    (path,) = folder.glob(f"{side}_response.*")
    _, *status, kind = path.name.split(".")
    return Recorded(int(status[0]) if status else 200, kind, path.read_bytes())


def _read_headers(folder: Path, side: str) -> dict[str, str]:
    path = folder / f"{side}_headers.json"
    headers: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return headers


def _read_case(folder: Path) -> Case:
    return Case(
        folder.name,
        (folder / "client_request.json").read_bytes(),
        (folder / "upstream_request.json").read_bytes(),
        _read_response(folder, "upstream"),
        _read_response(folder, "client"),
        _read_headers(folder, "upstream"),
        _read_headers(folder, "client"),
    )


CASES = [_read_case(folder) for folder in sorted(HERE.iterdir()) if (folder / "client_request.json").exists()]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    models: dict[str, set[str]] = {}
    for case in CASES:
        models.setdefault(case.provider, set()).add(json.loads(case.upstream_request)["model"])
    instances = {provider: {"models": sorted(names)} for provider, names in models.items()}
    with Gateway(config_for(upstream, **instances)) as gateway:
        yield gateway


def cuts(body: bytes, seed: int) -> list[bytes]:
    """Twelve cuts anywhere. One more stands before an error event: had it come in one piece with all that was said
    before it, the client would be told by a status."""
    chance = random.Random(seed)
    places = [chance.randrange(len(body) + 1) for _ in range(12)]
    error = body.find(b'"error"')
    if error >= 0:
        places.append(body.rfind(b"\n\n", 0, error) + 2)
    return cut_at(body, places)


def is_same_json(one: bytes, other: bytes) -> bool:
    """Equal values; ``1`` and ``1.0`` are not the same, nor are ``1`` and ``true``."""
    return repr(json.loads(one, object_pairs_hook=_sorted)) == repr(json.loads(other, object_pairs_hook=_sorted))


def _sorted(members: list[tuple[str, object]]) -> list[tuple[str, object]]:
    return sorted(members, key=lambda member: member[0])


@each_case
@pytest.mark.parametrize("seed", range(6))
def test_a_case_is_replayed(gateway: Gateway, upstream: ScriptedUpstream, case: Case, seed: int) -> None:
    given, wanted = case.upstream_response, case.client_response
    upstream.answer(stream(*cuts(given.body, seed), status=given.status, content_type=MEDIA_TYPES[given.kind]))
    response = gateway.post("/v1/chat/completions", case.client_request)
    assert response.status == wanted.status
    assert response.is_complete
    assert response.headers["content-type"].startswith(MEDIA_TYPES[wanted.kind].partition(";")[0])
    assert response.headers.get("x-sluice-dropped") == case.client_headers.get("x-sluice-dropped")
    assert response.headers.items() >= case.client_headers.items()
    for name, value in case.upstream_headers.items():
        assert upstream.request.header(name) == value
    if case.is_forwarded:
        assert upstream.request.body == case.upstream_request
        assert response.body == wanted.body
        return
    assert is_same_json(upstream.request.body, case.upstream_request)
    body = CREATED.sub(b'"created":1700000000', response.body)
    if wanted.kind == "json":
        assert is_same_json(body, wanted.body)
    else:
        assert body == wanted.body


@pytest.mark.parametrize("case", [case for case in CASES if not case.is_forwarded], ids=lambda case: case.name)
def test_what_goes_up_is_what_the_providers_own_sdk_could_send(case: Case) -> None:
    check_message_request(json.loads(case.upstream_request))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.is_forwarded and c.upstream_response.status == 200], ids=lambda case: case.name
)
def test_a_forwarded_answer_is_the_providers_own(case: Case) -> None:
    """The files themselves keep the promise: only the usage that nobody asked for may be missing, or an event that was
    not whole, and only an error may be added."""
    given, told = case.upstream_response.body, case.client_response.body
    if case.upstream_response.kind == "json":
        assert told == given
        return
    *whole, half = given.replace(b"\r\n", b"\n").split(b"\n\n")
    *received, nothing = told.replace(b"\r\n", b"\n").split(b"\n\n")
    assert nothing == b""
    assert half not in received or half == b""
    left_out = [event for event in whole if event not in received]
    added = [event for event in received if event not in whole]
    has_asked = b"include_usage" in case.client_request
    assert all(b'"choices":[]' in event and b'"usage":{' in event and not has_asked for event in left_out)
    assert all(b'"error"' in event for event in added)
