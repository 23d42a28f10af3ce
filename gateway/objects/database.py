"""One SQLite file: opened when first needed, brought to the present schema, and its errors told in our words.

SQLite and its driver are imported with the first use, so that a gateway that keeps nothing does not carry them. Writes
go through one connection, one transaction after the other; reads have their own and wait for no writer (WAL mode). The
driver runs each connection's statements in order on a thread, which is what makes an abandoned transaction end before
the next one begins.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.core.errors import StorageUnavailable

if TYPE_CHECKING:
    from aiosqlite import Connection

# How long a statement waits for another process that is writing. Transactions here take milliseconds.
BUSY_TIMEOUT_S = 5.0
# Between two attempts to open a file that another process is opening too.
_OPENING_PAUSE_S = 0.01
# In WAL mode a commit needs no sync of its own: a power cut may cost the last moments, never the file.
_WAL = "PRAGMA journal_mode = WAL"
_SETUP = ("PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")

Row = tuple[Any, ...]
Migrations = Sequence[Sequence[str]]


class Transaction:
    """What may be done inside a transaction. Values stand in a statement by name, ``:id``."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def run(self, statement: str, **values: object) -> list[Row]:
        return await _run(self._connection, statement, values)

    async def run_many(self, statement: str, rows: Iterable[Mapping[str, object]]) -> int:
        """How many rows were written."""
        cursor = await self._connection.executemany(statement, rows)
        await cursor.close()
        return cursor.rowcount


class Database:
    """The file at ``path``. ``migrations`` are lists of statements, one list for each version of the schema; old ones
    are never changed. Every method raises ``StorageUnavailable`` for whatever goes wrong; the log has the detail."""

    def __init__(self, path: Path, migrations: Migrations, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._migrations = migrations
        self._busy_timeout_s = busy_timeout_s
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._is_closed = False

    def exists(self) -> bool:
        """Has anything ever been kept here?"""
        return self._path.exists()

    async def read(self, statement: str, **values: object) -> list[Row]:
        with _told_in_our_words():
            if self._reader is None:
                await self._open()
            assert self._reader is not None
            return await _run(self._reader, statement, values)

    async def write(self, statement: str, **values: object) -> list[Row]:
        """One statement as a transaction of its own; the rows it returns."""
        async with self.transaction() as transaction:
            return await transaction.run(statement, **values)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All of it or nothing. Nobody else writes meanwhile, in no process."""
        async with self._writing:
            with _told_in_our_words():
                if self._writer is None:
                    await self._open()
                assert self._writer is not None
                async with _atomically(self._writer) as transaction:
                    yield transaction

    async def close(self) -> None:
        """Let go of the file; whatever is asked later is refused."""
        self._is_closed = True
        async with self._opening, self._writing:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    with _told_in_our_words():
                        await connection.close()
            self._reader = self._writer = None

    async def _open(self) -> None:
        async with self._opening:
            if self._is_closed:
                raise unavailable("the gateway is stopping")
            if self._writer is not None:
                return
            await asyncio.to_thread(_make_private_file, self._path)
            writer = await self._connect()
            try:
                await self._migrate(writer)
                self._reader = await self._connect()
            except BaseException:
                await writer.close()
                raise
            self._writer = writer

    async def _connect(self) -> "Connection":
        import aiosqlite

        connection = await aiosqlite.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            await _enter_wal(connection, self._busy_timeout_s)
            for statement in _SETUP:
                await connection.execute_fetchall(statement)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _migrate(self, writer: "Connection") -> None:
        async with _atomically(writer) as transaction:
            version = (await transaction.run("PRAGMA user_version"))[0][0]
            if version > len(self._migrations):
                raise unavailable(f"{self._path} was written by a newer version of Sluice (schema {version})")
            for statements in self._migrations[version:]:
                for statement in statements:
                    await transaction.run(statement)
            if version < len(self._migrations):
                await transaction.run(f"PRAGMA user_version = {len(self._migrations)}")


async def _enter_wal(connection: "Connection", patience_s: float) -> None:
    """A new file becomes one of WAL mode with the first connection. SQLite waits for no other that does the same at
    this moment: it is told at once that the file is busy."""
    import sqlite3

    clock = asyncio.get_running_loop().time
    give_up_at = clock() + patience_s
    while True:
        try:
            await connection.execute_fetchall(_WAL)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or clock() >= give_up_at:
                raise
        await asyncio.sleep(_OPENING_PAUSE_S)


async def _run(connection: "Connection", statement: str, values: Mapping[str, object]) -> list[Row]:
    return list(await connection.execute_fetchall(statement, values))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def _atomically(connection: "Connection") -> AsyncIterator[Transaction]:
    try:
        # a transaction that first reads and then writes could fail in between if it did not say so at once
        await connection.execute_fetchall("BEGIN IMMEDIATE")
        yield Transaction(connection)
        await connection.execute_fetchall("COMMIT")
    except BaseException:
        # after COMMIT, and when BEGIN failed, this does nothing
        await asyncio.shield(connection.rollback())
        raise


def unavailable(detail: str) -> StorageUnavailable:
    return StorageUnavailable("The gateway's storage is not available at the moment.", detail=detail)


@contextlib.contextmanager
def _told_in_our_words() -> Iterator[None]:
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        # SQLite's texts name tables and columns, never values
        raise unavailable(f"{type(error).__name__}: {error}") from None
    except OSError as error:
        raise unavailable(f"{type(error).__name__}: {error.strerror}") from None
    except ValueError as error:
        raise unavailable(f"the database cannot be used: {error}") from None


def _make_private_file(path: Path) -> None:
    """Nobody else on the machine may read what clients said; the files SQLite puts beside it follow this one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
