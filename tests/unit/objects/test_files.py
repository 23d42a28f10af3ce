import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.errors import NotFound, StorageUnavailable, TooLarge
from gateway.objects import files as module
from gateway.objects.files import GATHER_BYTES, FileContents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "files"


@pytest.fixture
def contents(folder: Path) -> FileContents:
    return FileContents(folder, max_bytes=4 * GATHER_BYTES)


async def write(contents: FileContents, file_id: str, *pieces: bytes) -> int:
    async with contents.create(file_id) as writer:
        for piece in pieces:
            await writer.write(piece)
        return await writer.commit()


async def collect(chunks: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"a", b"", b"bc"],
        [b"x" * (GATHER_BYTES - 1), b"yz", b"end"],
        [b"z" * (3 * GATHER_BYTES + 7)],
    ],
)
async def test_what_was_written_is_read_in_pieces(contents: FileContents, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert await write(contents, "file-a_B-1", *pieces) == len(whole)
    assert await contents.size("file-a_B-1") == len(whole)
    chunks = await collect(contents.read("file-a_B-1", chunk_bytes=1000))
    assert b"".join(chunks) == whole
    assert all(0 < len(chunk) <= 1000 for chunk in chunks)


async def test_half_a_file_is_not_found(contents: FileContents) -> None:
    async with contents.create("file-1") as writer:
        await writer.write(b"x" * GATHER_BYTES)
        with pytest.raises(NotFound):
            await contents.size("file-1")
        await writer.commit()
    assert await contents.size("file-1") == GATHER_BYTES


async def test_what_is_not_committed_leaves_nothing(contents: FileContents, folder: Path) -> None:
    async with contents.create("file-1") as writer:
        await writer.write(b"abc")
    assert os.listdir(folder) == []


async def test_a_file_that_is_too_large_leaves_nothing(contents: FileContents, folder: Path) -> None:
    assert await write(contents, "file-full", b"x" * (4 * GATHER_BYTES)) == 4 * GATHER_BYTES
    with pytest.raises(TooLarge, match=r"storage\.max_file"):
        await write(contents, "file-more", b"x" * (4 * GATHER_BYTES), b"y")
    assert os.listdir(folder) == ["file-full"]


async def test_an_upload_that_is_cut_leaves_nothing(contents: FileContents, folder: Path) -> None:
    begun = asyncio.Event()

    async def upload() -> None:
        async with contents.create("file-1") as writer:
            await writer.write(b"x" * GATHER_BYTES)
            begun.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(upload())
    await begun.wait()
    (part,) = os.listdir(folder)
    assert part.endswith(".part")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert os.listdir(folder) == []


async def test_a_full_disk_is_told_and_leaves_nothing(
    contents: FileContents, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(StorageUnavailable) as raised:
        await write(contents, "file-1", b"abc")
    assert "No space" in raised.value.detail
    assert "space" not in raised.value.message
    assert os.listdir(folder) == []


async def test_a_file_is_deleted_once(contents: FileContents) -> None:
    await write(contents, "file-1", b"abc")
    assert await contents.delete("file-1")
    assert not await contents.delete("file-1")
    with pytest.raises(NotFound):
        await contents.size("file-1")


async def test_a_file_that_is_deleted_while_it_is_read_is_read_to_its_end(contents: FileContents) -> None:
    await write(contents, "file-1", b"abcdef")
    chunks = contents.read("file-1", chunk_bytes=3)
    assert await anext(chunks) == b"abc"
    await contents.delete("file-1")
    assert await collect(chunks) == [b"def"]


@pytest.mark.parametrize(
    "file_id",
    ["", "file-", "../secret", "file-/../../secret", "file-1.part", "file-1\n", "file-\0", "file-" + "x" * 65],
)
async def test_no_id_leads_elsewhere(contents: FileContents, file_id: str) -> None:
    with pytest.raises(NotFound):
        await contents.size(file_id)
    with pytest.raises(NotFound):
        await collect(contents.read(file_id))
    assert not await contents.delete(file_id)
    with pytest.raises(ValueError, match="cannot be the id"):
        contents.create(file_id)


async def test_a_place_where_nothing_can_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StorageUnavailable):
        await write(FileContents(tmp_path / "a-file" / "files", max_bytes=10), "file-1", b"a")


async def test_of_two_who_write_the_same_each_is_whole(contents: FileContents, folder: Path) -> None:
    async with contents.create("file-1") as first:
        await first.write(b"first")
        await write(contents, "file-1", b"second")
        assert await collect(contents.read("file-1")) == [b"second"]
        await first.commit()
    assert await collect(contents.read("file-1")) == [b"first"]
    assert os.listdir(folder) == ["file-1"]


async def test_a_content_may_have_a_bound_of_its_own(contents: FileContents, folder: Path) -> None:
    with pytest.raises(TooLarge):
        async with contents.create("file-1", 3) as writer:
            await writer.write(b"four")
    async with contents.create("file-1", 10**9) as writer:
        await writer.write(b"x" * 2_000_000)
        await writer.commit()
    assert await contents.size("file-1") == 2_000_000


async def test_what_a_dead_process_left_is_swept_away(contents: FileContents, folder: Path) -> None:
    assert await contents.sweep(1e12) == 0
    await write(contents, "file-1", b"abc")
    old, young = folder / "file-2.part", folder / "file-3.part"
    for part, at in ((old, 1000), (young, 3000)):
        part.write_bytes(b"")
        os.utime(part, (at, at))
    assert await contents.sweep(2000.0) == 1
    assert sorted(os.listdir(folder)) == ["file-1", "file-3.part"]


async def test_nobody_else_on_the_machine_reads_them(contents: FileContents, folder: Path) -> None:
    await write(contents, "file-1", b"abc")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(folder / "file-1").st_mode & 0o777 == 0o600


async def test_a_writer_is_used_once_and_inside_its_block(contents: FileContents) -> None:
    writer = contents.create("file-1")
    with pytest.raises(ValueError, match="not open"):
        await writer.commit()
    async with writer:
        await writer.commit()
        with pytest.raises(ValueError, match="not open"):
            await writer.commit()
