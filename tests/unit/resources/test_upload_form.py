from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedMedia
from gateway.resources.upload_form import PURPOSES, UploadForm, check_plain
from tests.kit.feeds import splits
from tests.kit.kept import BOUNDARY, form

FULL = (
    ("purpose", "batch"),
    ("other", "ignored"),
    ("expires_after[anchor]", "created_at"),
    ("expires_after[seconds]", "7200"),
)


async def read(*pieces: bytes) -> tuple[bytes, UploadForm]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    form = UploadForm(BOUNDARY.encode())
    return b"".join([piece async for piece in form.content(chunks())]), form


async def test_a_form_is_read() -> None:
    content, found = await read(form(*FULL, file=b"some content", filename="a.jsonl"))
    assert content == b"some content"
    assert (found.filename, found.purpose, found.ttl_s) == ("a.jsonl", "batch", 7200)


async def test_what_may_be_missing_may_be_missing() -> None:
    whole = form(("purpose", "evals"), file=b"").replace(b'; filename="data.jsonl"', b"")
    content, found = await read(whole)
    assert (content, found.filename, found.purpose, found.ttl_s) == (b"", "upload", "evals", None)


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_every_purpose_is_one(purpose: str) -> None:
    assert (await read(form(("purpose", purpose))))[1].purpose == purpose


WHOLE = form(*FULL, file=b"line 1\r\nline 2\r\n--form", filename="a.jsonl")


@given(splits(WHOLE))
async def test_any_cut_gives_the_same(pieces: list[bytes]) -> None:
    content, found = await read(*pieces)
    assert (content, found.ttl_s) == (b"line 1\r\nline 2\r\n--form", 7200)


async def test_a_wrong_purpose_is_told_before_the_file_comes() -> None:
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for piece in (form(("purpose", "fun"), file=None)[: -len(BOUNDARY) - 6], form(file=b"x" * 1000)):
            taken += 1
            yield piece

    with pytest.raises(BadRequest, match="purpose"):
        async for _ in UploadForm(BOUNDARY.encode()).content(chunks()):
            pass
    assert taken <= 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ((), "purpose"),
        ((("purpose", "fun"),), "purpose"),
        ((("purpose", b"\xff"),), "purpose"),
        ((("purpose", "batch"), ("purpose", "batch")), "purpose"),
        ((("purpose", "batch"), ("expires_after[seconds]", "3599")), "expires_after[seconds]"),
        ((("purpose", "batch"), ("expires_after[seconds]", "2592001")), "expires_after[seconds]"),
        ((("purpose", "batch"), ("expires_after[seconds]", "00003600")), "expires_after[seconds]"),
        ((("purpose", "batch"), ("expires_after[seconds]", "\u0663600")), "expires_after[seconds]"),
        ((("purpose", "batch"), ("expires_after[seconds]", "")), "expires_after[seconds]"),
        ((("purpose", "batch"), ("expires_after[anchor]", "now")), "expires_after[anchor]"),
    ],
)
async def test_a_wrong_field_is_named(fields: tuple[tuple[str, str | bytes], ...], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await read(form(*fields))
    assert refused.value.param == param


@given(st.text(max_size=10))
async def test_any_time_is_a_time_or_refused(text: str) -> None:
    try:
        _, found = await read(form(("purpose", "batch"), ("expires_after[seconds]", text)))
    except BadRequest:
        return
    assert found.ttl_s is not None
    assert 3600 <= found.ttl_s <= 2592000


async def test_a_form_without_a_file_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        await read(form(("purpose", "batch"), file=None))
    assert refused.value.param == "file"


def test_only_plain_forms_are_taken() -> None:
    for encoding in ("", "identity", "Identity"):
        check_plain(encoding)
    for encoding in ("gzip", "br", "identity, gzip"):
        with pytest.raises(UnsupportedMedia):
            check_plain(encoding)
