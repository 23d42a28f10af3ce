"""Files: streamed through to a provider that keeps them, or kept by the gateway itself."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.limits import MAX_LISTED_OBJECTS, MAX_OBJECT_ANSWER_BYTES
from tests.kit.gateway import Gateway, Response, request
from tests.kit.keeper import Answer, Keeper
from tests.kit.kept import (
    BOUNDARY,
    CLAUDE,
    MASTER,
    NATIVE,
    ask,
    claude_says,
    config,
    form,
    get,
    ok,
    post_form,
    running,
    running_apart,
    upload,
)
from tests.kit.upstream import ScriptedUpstream

PATH = "/v1/files"
KIB = 1024
MIB = 1024 * KIB
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


@pytest.fixture(autouse=True)
def fresh(keeper: Keeper, upstream: ScriptedUpstream) -> None:
    keeper.forget()
    upstream.answer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def gateway(keeper: Keeper, upstream: ScriptedUpstream, folder: Path) -> Iterator[Gateway]:
    with running(config(keeper, upstream), folder, SLUICE_STORAGE__MAX_FILE="2MiB") as gateway:
        yield gateway


def own(gateway: Gateway, content: bytes = b"{}\n", purpose: str = "batch") -> Any:
    return ok(upload(gateway, content, purpose, "?provider=sluice"))


def ids(response: Response) -> list[str]:
    return [row["id"] for row in ok(response)["data"]]


# --- at a provider ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_form_goes_up_byte_for_byte(gateway: Gateway, keeper: Keeper, is_chunked: bool) -> None:
    body = form(("purpose", "batch"), ("odd", b"\xff\x00"), file=bytes(range(256)) * 40, filename="a b.bin")
    if is_chunked:
        head = request(
            "POST", PATH, Authorization=f"Bearer {MASTER}", Content_Type=FORM_TYPE, Transfer_Encoding="chunked"
        )
        head = head.replace(b"Content-Length: 0\r\n", b"")
        pieces = [b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:7], body[7:5000], body[5000:])]
        with gateway.connect() as client:
            answer = client.send(head, *pieces, b"0\r\n\r\n").response()
    else:
        answer = post_form(gateway, PATH, body)
    made = ok(answer)
    assert (keeper.last.body, keeper.last.path) == (body, PATH)
    assert keeper.last.headers["content-type"] == FORM_TYPE
    assert ("transfer-encoding" in keeper.last.headers) is is_chunked
    assert MASTER not in str(keeper.last.headers)
    assert made["purpose"] == "batch"
    assert made["id"].startswith("file-n")
    assert ".native.slu" in made["id"]


def test_a_native_file_is_asked_for_under_its_sealed_id(gateway: Gateway, keeper: Keeper) -> None:
    made = ok(upload(gateway, b"x"))
    native = made["id"].partition(".")[0]
    keeper.contents[native] = bytes(range(256)) * 100
    path = f"{PATH}/{made['id']}"
    assert ok(get(gateway, path)) == made
    content = get(gateway, f"{path}/content?a=b")
    assert content.body == keeper.contents[native]
    assert content.headers["content-type"] == "application/octet-stream"
    assert (keeper.last.path, keeper.last.query) == (f"{PATH}/{native}/content", "a=b")
    assert made["id"] in ids(get(gateway, PATH))
    assert ok(ask(gateway, "DELETE", path)) == {"id": made["id"], "object": "file", "deleted": True}
    assert made["id"] not in ids(get(gateway, PATH))
    assert get(gateway, path).status == 404


def test_a_provider_that_refuses_early_is_heard(gateway: Gateway, keeper: Keeper, upstream: ScriptedUpstream) -> None:
    keeper.refusals = [Answer({"error": {"message": "no such purpose", "type": "invalid_request_error"}}, 400)]
    answer = upload(gateway, b"x", "nonsense")
    assert (answer.status, answer.json["error"]["message"]) == (400, "no such purpose")
    assert answer.headers["x-sluice-provider"] == "native"


def test_a_refusal_before_the_end_of_the_body_ends_the_upload(tmp_path: Path) -> None:
    """A provider that has read the head and says no: the client hears it and need not send the rest."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        text = json.dumps(
            {
                "providers": {
                    "native": {
                        "type": "openai",
                        "api_key": "sk-1",
                        "models": ["m"],
                        "base_url": f"http://127.0.0.1:{port}/v1",
                    }
                }
            }
        )
        with running(text, tmp_path) as gateway, gateway.connect() as client:
            head = request(
                "POST", PATH, Authorization=f"Bearer {MASTER}", Content_Type=FORM_TYPE, Content_Length=str(8 * MIB)
            )
            client.send(head + form(("purpose", "batch"), file=b"x" * 1000)[:500])
            provider, _ = listener.accept()
            with provider:
                received = b""
                while b"form-boundary-01" not in received.partition(b"\r\n\r\n")[2]:
                    received += provider.recv(65536)
                body = b'{"error":{"message":"too much","type":"invalid_request_error","param":null,"code":null}}'
                provider.sendall(
                    b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%b" % (len(body), body)
                )
                answer = client.response()
            assert (answer.status, answer.body) == (413, body)


def rss_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * KIB for line in file if line.startswith("VmHWM"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_a_large_upload_costs_no_memory(keeper: Keeper, tmp_path: Path) -> None:
    piece = bytes(range(256)) * 1024  # 256 KiB
    whole = form(("purpose", "user_data"), file=b"@")
    begin, end = whole.split(b"@")
    with running_apart(config(keeper), tmp_path) as process:
        ok(upload(process, b"x"))
        before = rss_bytes(process.pid)
        digest = hashlib.sha256()
        with process.connect() as client:
            length = len(begin) + 256 * len(piece) + len(end)
            client.send(
                request(
                    "POST", PATH, Authorization=f"Bearer {MASTER}", Content_Type=FORM_TYPE, Content_Length=str(length)
                )
            )
            for part in (begin, *[piece] * 256, end):
                digest.update(part)
                client.send(part)
            made = ok(client.response())
        grown = rss_bytes(process.pid) - before
    assert (keeper.last.size, keeper.last.digest) == (length, digest.hexdigest())
    assert made["bytes"] == length
    assert grown < 8 * MIB, f"64 MiB through cost {grown / MIB:.1f} MiB"


# --- in the gateway ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 70_000, 2 * MIB])
def test_an_own_file_comes_back_as_it_went(gateway: Gateway, keeper: Keeper, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    made = own(gateway, content, "user_data")
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": size,
        "created_at": made["created_at"],
        "expires_at": None,
        "filename": "data.jsonl",
        "purpose": "user_data",
        "status": "processed",
    }
    path = f"{PATH}/{made['id']}"
    assert ok(get(gateway, path)) == made
    answer = get(gateway, f"{path}/content")
    assert answer.body == content
    assert answer.headers["content-length"] == str(size)
    with gateway.connect() as client:
        client.send(request("HEAD", f"{path}/content", Authorization=f"Bearer {MASTER}"))
        head = client.response(to_head=True)
        assert (head.status, head.headers["content-length"]) == (200, str(size))
    assert ok(ask(gateway, "DELETE", path))["deleted"] is True
    for method, more in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert ask(gateway, method, path + more).status == 404
    assert keeper.asked == []


def test_a_content_is_sent_at_the_speed_of_its_reader(gateway: Gateway) -> None:
    content = os.urandom(2 * MIB)
    made = own(gateway, content)
    with gateway.connect(receive_buffer=4 * KIB) as client:
        client.send(request("GET", f"{PATH}/{made['id']}/content", Authorization=f"Bearer {MASTER}"))
        client.until(b"\r\n\r\n")
        waiting = gateway.call(lambda: sum(one.unsent_bytes() for one in gateway.app._edge._each()))
        assert waiting < 600 * KIB
        assert client.response().body == content


def test_contents_and_names_are_private(gateway: Gateway, folder: Path) -> None:
    made = own(gateway, b"secret")
    file = folder / "kept" / "files" / made["id"]
    assert file.read_bytes() == b"secret"
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
    assert list(file.parent.glob("*.part")) == []


def test_files_are_listed_by_purpose_place_and_page(upstream: ScriptedUpstream, keeper: Keeper, tmp_path: Path) -> None:
    with running(config(keeper, upstream), tmp_path) as gateway:
        made = [own(gateway, b"x", purpose)["id"] for purpose in ("batch", "user_data", "batch", "batch")]
        native = ok(upload(gateway, b"x", "batch"))["id"]
        keeper.forget()
        assert ids(get(gateway, PATH)) == [native, *reversed(made)]
        assert ids(get(gateway, f"{PATH}?purpose=user_data")) == [made[1]]
        assert ids(get(gateway, f"{PATH}?purpose=nothing")) == []
        assert ids(get(gateway, f"{PATH}?provider=native")) == [native]
        assert ids(get(gateway, f"{PATH}?provider=sluice&order=asc")) == made
        assert ids(get(gateway, PATH, X_Sluice_Provider="native")) == [native]
        first = ok(get(gateway, f"{PATH}?purpose=batch&limit=2&order=asc"))
        assert ([row["id"] for row in first["data"]], first["has_more"]) == ([made[0], made[2]], True)
        rest = ok(get(gateway, f"{PATH}?purpose=batch&order=asc&limit=2&after={first['last_id']}"))
        assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([made[3], native], False)
        assert get(gateway, f"{PATH}?provider=nobody").status == 400
        assert keeper.asked == []


def test_long_lists_are_read_to_their_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.resources.paging.SCANNED_ROWS", 2)
    made = [own(gateway, b"x", "evals")["id"] for _ in range(5)]
    assert ids(get(gateway, f"{PATH}?purpose=evals&order=asc")) == made
    page = ok(get(gateway, f"{PATH}?purpose=evals&order=asc&limit=3"))
    assert ([row["id"] for row in page["data"]], page["has_more"]) == (made[:3], True)


def test_a_file_may_expire(gateway: Gateway) -> None:
    fields = [("purpose", "user_data"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]
    made = ok(post_form(gateway, f"{PATH}?provider=sluice", form(*fields)))
    assert made["expires_at"] - made["created_at"] == 3600


def test_files_survive_a_restart(keeper: Keeper, tmp_path: Path) -> None:
    with running(config(keeper), tmp_path) as gateway:
        made, native = own(gateway, b"content"), ok(upload(gateway, b"x"))
    with running(config(keeper), tmp_path) as gateway:
        assert get(gateway, f"{PATH}/{made['id']}/content").body == b"content"
        assert ok(get(gateway, f"{PATH}/{native['id']}")) == native
        assert ids(get(gateway, PATH)) == [native["id"], made["id"]]


# --- forms that are none ----------------------------------------------------------------------------------------------

_PURPOSE = ("purpose", "batch")
BAD_FORMS = {
    "no file": form(_PURPOSE, file=None),
    "no purpose": form(file=b"x"),
    "a wrong purpose": form(("purpose", "fun")),
    "two purposes": form(_PURPOSE, _PURPOSE),
    "no end": form(_PURPOSE)[:-20],
    "nothing": b"",
    "no form": b'{"purpose":"batch"}',
    "two files": form(_PURPOSE)[: -len(f"--{BOUNDARY}--\r\n")] + form(),
    "a purpose that is a file": form(file=b"batch").replace(b'name="file"', b'name="purpose"')[: -len(BOUNDARY) - 6]
    + form(),
    "a wrong time": form(_PURPOSE, ("expires_after[seconds]", "36009999999")),
    "a short time": form(_PURPOSE, ("expires_after[seconds]", "10")),
    "a time with leading zeros": form(_PURPOSE, ("expires_after[seconds]", "000036009999")),
    "a wrong anchor": form(_PURPOSE, ("expires_after[anchor]", "now")),
}


@pytest.mark.parametrize("what", BAD_FORMS)
def test_a_malformed_form_leaves_nothing_behind(gateway: Gateway, keeper: Keeper, folder: Path, what: str) -> None:
    before = ids(get(gateway, PATH))
    answer = post_form(gateway, f"{PATH}?provider=sluice", BAD_FORMS[what])
    assert answer.status == 400, answer.body
    assert answer.error["message"]
    assert ids(get(gateway, PATH)) == before
    assert list((folder / "kept" / "files").glob("*.part")) == []
    assert keeper.asked == []


def test_another_field_that_is_a_file_is_not_kept_in_memory(gateway: Gateway) -> None:
    other = form(file=b"x" * (3 * MIB // 2)).replace(b'name="file"', b'name="other"')[: -len(BOUNDARY) - 6]
    made = ok(post_form(gateway, f"{PATH}?provider=sluice", other + form(_PURPOSE, file=b"mine")))
    assert get(gateway, f"{PATH}/{made['id']}/content").body == b"mine"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/json"}, 400),
        ({"Content_Type": "multipart/form-data"}, 400),
        ({"Content_Type": "multipart/form-data; boundary="}, 400),
        ({"Content_Type": f"multipart/form-data; boundary={'x' * 71}"}, 400),
        ({"Content_Type": FORM_TYPE, "Content_Encoding": "gzip"}, 415),
    ],
)
@pytest.mark.parametrize("place", ["sluice", "native"])
def test_what_is_no_form_goes_nowhere(
    gateway: Gateway, keeper: Keeper, headers: dict[str, str], status: int, place: str
) -> None:
    answer = ask(gateway, "POST", f"{PATH}?provider={place}", form(_PURPOSE), **headers)
    assert answer.status == status
    assert answer.error["message"]
    assert keeper.asked == []


@pytest.mark.parametrize("place", ["sluice", "native"])
def test_what_is_too_large_is_refused(gateway: Gateway, keeper: Keeper, place: str) -> None:
    with gateway.connect() as client:
        head = request(
            "POST",
            f"{PATH}?provider={place}",
            Authorization=f"Bearer {MASTER}",
            Content_Type=FORM_TYPE,
            Content_Length=str(4 * MIB),
        )
        answer = client.send(head).response()
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert "storage.max_file" in answer.error["message"]
    assert keeper.asked == []


@pytest.mark.parametrize("place", ["sluice", "native"])
def test_what_turns_out_too_large_is_refused(gateway: Gateway, folder: Path, place: str) -> None:
    head = request(
        "POST",
        f"{PATH}?provider={place}",
        Authorization=f"Bearer {MASTER}",
        Content_Type=FORM_TYPE,
        Transfer_Encoding="chunked",
    ).replace(b"Content-Length: 0\r\n", b"")
    body = form(_PURPOSE, file=b"x" * (4 * MIB))
    with gateway.connect() as client:
        client.send(head + b"%x\r\n%b\r\n" % (len(body), body))
        answer = client.response()
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert "storage.max_file" in answer.error["message"]
    assert list((folder / "kept" / "files").glob("*.part")) == []


def test_a_client_that_leaves_leaves_nothing_behind(gateway: Gateway, folder: Path) -> None:
    files = folder / "kept" / "files"
    own(gateway)
    before = sorted(files.iterdir())
    with gateway.connect() as client:
        head = request(
            "POST",
            f"{PATH}?provider=sluice",
            Authorization=f"Bearer {MASTER}",
            Content_Type=FORM_TYPE,
            Content_Length=str(MIB),
        )
        client.send(head + form(_PURPOSE)[:200])
        gateway.wait_until(lambda: any(files.glob("*.part")))
    gateway.wait_until(lambda: sorted(files.iterdir()) == before)


def test_a_slow_upload_of_an_own_file_arrives(gateway: Gateway) -> None:
    """The disk is awaited before the body: nothing of the body may be lost meanwhile."""
    body = form(_PURPOSE, file=os.urandom(MIB))
    head = request(
        "POST",
        f"{PATH}?provider=sluice",
        Authorization=f"Bearer {MASTER}",
        Content_Type=FORM_TYPE,
        Content_Length=str(len(body)),
    )
    for cut in (0, 10, 300_000):
        with gateway.connect() as client:
            answer = client.send(head + body[:cut], body[cut:]).response()
        assert ok(answer)["bytes"] == MIB


# --- ids --------------------------------------------------------------------------------------------------------------


def forged(gateway: Gateway) -> list[str]:
    sealed = ok(upload(gateway, b"x"))["id"]
    native, instance, tag = sealed.split(".")
    other = ok(upload(gateway, b"x"))["id"].partition(".")[0]
    swapped = tag[:-1] + ("A" if tag[-1] != "A" else "B")
    return [
        f"{native}.claude.{tag}",
        f"{native}.sim.{tag}",
        f"{native}.{instance}.{swapped}",
        f"{other}.{instance}.{tag}",
        f"{native}~2F..~2Fx.{instance}.{tag}",
        native,
        f"{native}.{instance}",
    ]


def test_a_forged_id_is_no_id(gateway: Gateway, keeper: Keeper) -> None:
    names = forged(gateway)
    keeper.forget()
    for name in [*names, "..", "%2e%2e", "a%2Fb", "%00", "x" * 3000, "file-unknown"]:
        for method, more in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            assert ask(gateway, method, f"{PATH}/{name}{more}").status == 404
    assert keeper.asked == []


def test_another_master_key_makes_ids_unknown(keeper: Keeper, tmp_path: Path) -> None:
    with running(config(keeper), tmp_path) as gateway:
        sealed = ok(upload(gateway, b"x"))["id"]
    with running(config(keeper), tmp_path, SLUICE_MASTER_KEY="another-key-0123456789") as gateway:
        keeper.forget()
        headers = {"Authorization": "Bearer another-key-0123456789"}
        assert get(gateway, f"{PATH}/{sealed}", **headers).status == 404
    assert keeper.asked == []


BODIES = {
    "/v1/chat/completions": lambda model, name: {
        "model": model,
        "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": name}}]}],
    },
    "/v1/responses": lambda model, name: {
        "model": model,
        "input": [{"role": "user", "content": [{"type": "input_file", "file_id": name}]}],
    },
    "/v1/messages": lambda model, name: {
        "model": model,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": name}}]}],
    },
}


@pytest.mark.parametrize("path", BODIES)
def test_a_sealed_id_in_a_request_is_opened_for_its_provider(gateway: Gateway, keeper: Keeper, path: str) -> None:
    sealed = ok(upload(gateway, b"x", "user_data"))["id"]
    native = sealed.partition(".")[0]
    keeper.forget()
    answer = ask(gateway, "POST", path, BODIES[path](NATIVE, sealed))
    assert keeper.asked, answer.body
    (asked,) = keeper.asked
    assert native in asked.body.decode()
    assert ".slu" not in asked.body.decode()
    if path == "/v1/responses":
        assert asked.json == BODIES[path](NATIVE, native)


@pytest.mark.parametrize("path", BODIES)
def test_a_sealed_id_is_of_no_use_elsewhere(
    gateway: Gateway, keeper: Keeper, upstream: ScriptedUpstream, path: str
) -> None:
    sealed = ok(upload(gateway, b"x", "user_data"))["id"]
    names = forged(gateway)[:3]
    keeper.forget()
    upstream.answer(claude_says("hello"))
    for model, name in [(CLAUDE, sealed), *((NATIVE, name) for name in names)]:
        answer = ask(gateway, "POST", path, BODIES[path](model, name))
        assert answer.status == 404
        assert name in answer.json["error"]["message"]
        assert ("type" in answer.json) is (path == "/v1/messages")  # each in the shape of its dialect
    assert (keeper.asked, upstream.requests) == ([], [])


# --- no store ---------------------------------------------------------------------------------------------------------


def test_without_a_store_only_a_provider_keeps_files(keeper: Keeper, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with running(config(keeper), tmp_path, SLUICE_STORAGE__PATH=str(blocked / "sluice.db")) as gateway:
        for answer in (upload(gateway, b"x", query="?provider=sluice"), get(gateway, PATH), get(gateway, f"{PATH}/x")):
            assert (answer.status, answer.error["code"]) == (503, "storage_unavailable")
        made = ok(upload(gateway, b"x"))
        assert ok(get(gateway, f"{PATH}/{made['id']}")) == made
        assert ok(ask(gateway, "DELETE", f"{PATH}/{made['id']}"))["deleted"] is True
        assert "sluice_objects_lost_total 1.0" in get(gateway, "/metrics").body.decode()


def test_an_answer_that_is_no_file_is_told(gateway: Gateway, keeper: Keeper) -> None:
    for odd in (b"", b"[]", b'{"object":"file"}', b'{"id":""}', b'{"id":7}', b'{"id":"x","purpose":7}'):
        keeper.refusals = [Answer(odd)]
        answer = upload(gateway, b"x")
        assert (answer.status, answer.error["code"]) == (502, "upstream_broken")


def test_an_answer_that_is_larger_than_any_object_is_told(gateway: Gateway, keeper: Keeper) -> None:
    made = ok(upload(gateway, b"x"))["id"]
    large = b'{"id":"file-x","pad":"' + b"a" * MAX_OBJECT_ANSWER_BYTES + b'"}'
    crowded = b'{"id":"file-x","data":[' + b",".join([b"{}"] * (MAX_LISTED_OBJECTS + 1)) + b"]}"
    for answer in (large, crowded):
        keeper.refusals = [Answer(answer)] * 2
        for told in (upload(gateway, b"x"), get(gateway, f"/v1/files/{made}")):
            assert (told.status, told.error["code"]) == (502, "upstream_broken")
    assert keeper.refusals == []
