"""Contents of the gateway's own files, one file on the disk for each, beside the database that knows their names.

A content is written under another name and gets its own when it is whole, so that nobody ever reads half a file. The
disk is touched in threads only: a slow one holds up nobody else.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

from gateway.core.errors import NotFound, StorageUnavailable, TooLarge
from gateway.core.limits import KIB

T = TypeVar("T")

# One visit to a thread costs as much as copying some hundred KiB, so small pieces are gathered first.
GATHER_BYTES = 256 * KIB
READ_BYTES = 256 * KIB

_ID = re.compile(r"file-[A-Za-z0-9_-]{1,64}")
_PART = ".part"


class FileContents:
    """The contents in one folder, by ids such as ``file-abc123``, which the caller makes. ``max_bytes`` bounds each
    that has no bound of its own."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def create(self, file_id: str, max_bytes: int | None = None) -> "FileWriter":
        """A content to be written: ``async with contents.create(id) as writer``. What is not committed inside leaves
        nothing behind; what is committed takes the place of an earlier content. ``ValueError`` when ``file_id`` is
        none."""
        return FileWriter(self._path(file_id), self._max_bytes if max_bytes is None else max_bytes)

    async def size(self, file_id: str) -> int:
        """In bytes. Raises ``NotFound`` and ``StorageUnavailable``."""
        path = self._known(file_id)
        return (await _on_disk(path.stat)).st_size

    async def read(self, file_id: str, *, chunk_bytes: int = READ_BYTES) -> AsyncGenerator[bytes, None]:
        """Piece by piece. Raises ``NotFound`` before the first, and ``StorageUnavailable``. A file that is deleted
        meanwhile is read to its end; whoever does not read to the end closes the generator."""
        path = self._known(file_id)
        opening = asyncio.ensure_future(_on_disk(lambda: path.open("rb")))
        try:
            file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise
        try:
            while chunk := await _on_disk(lambda: file.read(chunk_bytes)):
                yield chunk
        finally:
            file.close()

    async def delete(self, file_id: str) -> bool:
        """Was there such a file?"""
        try:
            await _on_disk(self._known(file_id).unlink)
        except NotFound:
            return False
        return True

    async def sweep(self, before: float) -> int:
        """Remove what uploads that broke off with their process left behind before that time (Unix seconds); how many
        there were."""
        return await _on_disk(lambda: _remove_parts(self._folder, before))

    def _path(self, file_id: str) -> Path:
        if _ID.fullmatch(file_id) is None:
            raise ValueError(f"{file_id!r} cannot be the id of a file")
        return self._folder / file_id

    def _known(self, file_id: str) -> Path:
        try:
            return self._path(file_id)
        except ValueError:
            raise _not_found() from None


class FileWriter:
    """One content on its way to the disk. Used by one task."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        # a name of its own: a process that died may have left a part of the same content, or another one writes it too
        self._part = path.with_name(f"{path.name}.{os.urandom(6).hex()}{_PART}")
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._gathered = bytearray()
        self.size = 0

    async def __aenter__(self) -> "FileWriter":
        self._file = await _on_disk(lambda: _open_part(self._part))
        return self

    async def write(self, data: bytes) -> None:
        """Raises ``TooLarge`` beyond the bound, and ``StorageUnavailable``, for instance when the disk is full."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise TooLarge(f"The file is larger than {self._max_bytes} bytes (`storage.max_file`).")
        self._gathered += data
        if len(self._gathered) >= GATHER_BYTES:
            await self._flush()

    async def commit(self) -> int:
        """The content is whole: from here on it is found under its id, even after a power cut. Its size in bytes."""
        file = self._opened()
        await self._flush()
        await _on_disk(lambda: _finish(file, self._part, self._path))
        return self.size

    async def _flush(self) -> None:
        file, gathered = self._opened(), bytes(self._gathered)
        self._gathered.clear()
        await _on_disk(lambda: file.write(gathered))

    def _opened(self) -> BinaryIO:
        if self._file is None or self._file.closed:
            raise ValueError("the file is not open for writing")
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and not self._file.closed:
            file = self._file
            await asyncio.shield(_on_disk(lambda: _abandon(file, self._part)))


def _close_opened(opening: "asyncio.Future[BufferedReader]") -> None:
    """Nobody waits for the file any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _on_disk(act: Callable[[], T]) -> T:
    """``act()`` in a thread, its errors in our words."""
    with _told_in_our_words():
        return await asyncio.to_thread(act)


@contextlib.contextmanager
def _told_in_our_words() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _not_found() from None
    except OSError as error:
        raise StorageUnavailable(
            "The gateway's storage is not available at the moment.", detail=f"{type(error).__name__}: {error.strerror}"
        ) from None


def _not_found() -> NotFound:
    return NotFound("There is no such file.")


def _open_part(part: Path) -> BinaryIO:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _finish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    # the new name is an entry of the folder, which has a place of its own on the disk
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _abandon(file: BinaryIO, part: Path) -> None:
    with contextlib.suppress(OSError):  # a full disk does not take what is left either
        file.close()
    part.unlink(missing_ok=True)


def _remove_parts(folder: Path, before: float) -> int:
    if not folder.exists():
        return 0
    old = [part for part in folder.glob(f"*{_PART}") if part.stat().st_mtime < before]
    for part in old:
        part.unlink(missing_ok=True)
    return len(old)
