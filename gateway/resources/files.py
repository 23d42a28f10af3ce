"""``/v1/files``: at the provider that keeps files, or in the gateway for those that keep none.

An upload to a provider is streamed through: not a byte of it is kept here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import time

import msgspec
from msgspec import Raw, Struct

from gateway.core.errors import BadRequest, NotFound
from gateway.core.limits import MAX_FILENAME_CHARS, MAX_LISTED_OBJECTS
from gateway.core.multipart import Data, FieldEnd, FieldStart, FormParser, boundary_of
from gateway.core.names import is_header_value
from gateway.core.types import Capability
from gateway.inquiry import refusal
from gateway.objects.contract import ObjectStore, StoredObject
from gateway.objects.files import FileContents
from gateway.passing import upload
from gateway.relay import PlainRelay
from gateway.request import PRIVATE, Reply, Request, request_id_line
from gateway.resources.paging import list_body, read_page
from gateway.resources.passthrough import pass_through
from gateway.resources.places import Places
from gateway.targets import ProviderInstance

_FILES = Capability.FILES
_DEFAULT_PAGE = MAX_LISTED_OBJECTS
# What OpenAI's clients may say a file is for ("Upload file").
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
BATCH_PURPOSE = "batch"


class FileObject(Struct, kw_only=True):
    """A file as clients see it (OpenAI API reference, "The file object"). Times are Unix seconds."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: str
    status: str = "processed"


class _Purpose(Struct):
    id: str = ""
    purpose: str = ""


_write = msgspec.json.Encoder().encode
_read_purpose = msgspec.json.Decoder(_Purpose).decode


class Files:
    """``new_id`` gives a random word each time it is called."""

    def __init__(
        self, store: ObjectStore, contents: FileContents, places: Places, max_bytes: int, new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._contents = contents
        self._places = places
        self._max_bytes = max_bytes
        self._new_id = new_id

    # --- upload ---

    async def create(self, request: Request) -> Reply:
        content_type = request.call.headers.get("Content-Type", "")
        boundary = boundary_of(content_type)
        instance = self._places.chosen(request, _FILES)
        if instance is None:
            return await self._keep(request, boundary)
        if not is_header_value(content_type):
            raise BadRequest("The header 'content-type' has characters that no header may have.")
        answer = self._places.seal(request, instance, await self._send(request, instance, content_type))
        shown = _read_purpose(answer)
        await self._store.put(
            StoredObject(
                id=shown.id,
                kind="file",
                owner=request.principal.name,
                created_at=time(),
                instance=instance.name,
                state=shown.purpose,
                body=answer,
            )
        )
        return Reply(200, answer)

    async def _send(self, request: Request, instance: ProviderInstance, content_type: str) -> bytes:
        """Stream the client's form to the provider; its answer."""
        call, record = request.call, request.record
        record.provider = instance.name
        record.attempts += 1
        (head, *_) = instance.request_heads("POST", self._places.path(instance, _FILES), without=("content-type",))
        head += f"content-type: {content_type}\r\n".encode("ascii")
        relay = PlainRelay(asyncio.get_running_loop())
        exchange = relay.exchange = instance.upstream.send_stream(head, call.length, relay)
        try:
            await upload(call, exchange, self._max_bytes)
            await relay.done
        finally:
            exchange.cancel()
        if relay.status >= 300:
            raise refusal(instance, relay)
        return relay.body

    async def _keep(self, request: Request, boundary: bytes) -> Reply:
        """Write the form's file to the gateway's own disk as it comes."""
        request.call.hold_body()
        form = _UploadForm(boundary)
        file_id = f"file-{self._new_id()}"
        async with self._contents.create(file_id) as writer:
            async for piece in form.content(request.call.body_chunks(self._max_bytes)):
                await writer.write(piece)
            shown = form.described(file_id, writer.size, int(time()))
            await writer.commit()
        await self._store.put(_row(shown, request.principal.name))
        return Reply(200, _write(shown))

    async def write(self, owner: str, filename: str, content: AsyncIterator[bytes]) -> str | None:
        """A file that the gateway makes itself, for a batch; its id, or None when there is no content."""
        file_id = f"file-{self._new_id()}"
        async with self._contents.create(file_id) as writer:
            async for piece in content:
                await writer.write(piece)
            if not writer.size:
                return None
            await writer.commit()
        shown = FileObject(
            id=file_id, bytes=writer.size, created_at=int(time()), filename=filename, purpose="batch_output"
        )
        await self._store.put(_row(shown, owner))
        return file_id

    def read(self, file_id: str) -> AsyncIterator[bytes]:
        """The content of a file that the gateway keeps. Raises ``NotFound``."""
        return self._contents.read(file_id)

    # --- the others ---

    async def list(self, request: Request) -> Reply:
        """What was uploaded through this gateway by this caller; newest first."""
        query = request.query()
        page = read_page(query, limit=_DEFAULT_PAGE, most=MAX_LISTED_OBJECTS)
        rows = await self._store.list_objects(
            "file", request.principal.name, after=page.after, limit=MAX_LISTED_OBJECTS, order=page.order
        )
        purpose = query.get("purpose")
        wanted = [(row.id, Raw(row.body)) for row in rows if purpose in (None, row.state)]
        return Reply(200, list_body(wanted, page.limit))

    async def get(self, request: Request) -> Reply:
        if native := self._native(request):
            answer = await self._places.ask(request, native[0], "GET", self._places.path(native[0], _FILES, native[1]))
            return Reply(200, self._places.seal(request, native[0], answer))
        return Reply(200, (await self.find(request.argument(), request.principal.name)).body)

    async def delete(self, request: Request) -> Reply:
        shown, owner = request.argument(), request.principal.name
        if native := self._native(request):
            path = self._places.path(native[0], _FILES, native[1])
            answer = await self._places.ask(request, native[0], "DELETE", path)
            await self._store.delete(shown, owner)
            return Reply(200, self._places.seal(request, native[0], answer))
        found = await self.find(shown, owner)
        await self._store.delete(found.id, owner)
        await self._contents.delete(found.id)
        return Reply(200, _write({"id": found.id, "object": "file", "deleted": True}))

    async def content(self, request: Request) -> Reply | None:
        if native := self._native(request):
            path = self._places.path(native[0], _FILES, native[1], "content")
            await pass_through(request, native[0], path, 0, with_body=False)
            return None
        found = await self.find(request.argument(), request.principal.name)
        size = await self._contents.size(found.id)
        await _stream(request, size, self._contents.read(found.id))
        return None

    async def find(self, file_id: str, owner: str) -> StoredObject:
        """A file that the gateway keeps. Raises ``NotFound``."""
        found = await self._store.get(file_id, owner)
        if found is None or found.kind != "file" or found.instance:
            raise NotFound("There is no file with this id.")
        return found

    def _native(self, request: Request) -> tuple[ProviderInstance, str] | None:
        return self._places.opened(request, request.argument(), _FILES)


def _row(shown: FileObject, owner: str) -> StoredObject:
    return StoredObject(
        id=shown.id,
        kind="file",
        owner=owner,
        created_at=shown.created_at,
        expires_at=shown.expires_at,
        state=shown.purpose,
        body=_write(shown),
    )


class _UploadForm:
    """The form of an upload while it comes in: its file goes on as it comes, its small fields are kept."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = FormParser(boundary)
        self._fields: dict[str, bytearray] = {}  # bounded by the parser's limits on fields
        self._name = ""
        self._filename: str | None = None

    async def content(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes of the form's file. Raises ``BadRequest`` for a form that has none or several."""
        async for chunk in chunks:
            for event in self._parser.feed(chunk):
                if isinstance(event, FieldStart):
                    self._begin(event)
                elif isinstance(event, Data) and self._name == "file":
                    yield event.data
                elif isinstance(event, Data):
                    self._fields[self._name] += event.data
                elif isinstance(event, FieldEnd):
                    self._name = ""
        self._parser.finish()
        if self._filename is None:
            raise BadRequest("The form must have a field 'file' with a file in it.", param="file")

    def _begin(self, field: FieldStart) -> None:
        self._name = field.name
        if field.name != "file":
            self._fields[field.name] = bytearray()
        elif self._filename is not None:
            raise BadRequest("The form has more than one 'file'.", param="file")
        else:
            self._filename = (field.filename or "upload")[:MAX_FILENAME_CHARS]

    def described(self, file_id: str, size: int, now: int) -> FileObject:
        """Raises ``BadRequest``."""
        purpose = self._text("purpose")
        if purpose not in PURPOSES:
            raise BadRequest(f"'purpose' must be one of {', '.join(PURPOSES)}.", param="purpose")
        expires_at = None
        if seconds := self._text("expires_after[seconds]"):
            if not (seconds.isascii() and seconds.isdigit() and 3600 <= int(seconds[:9]) <= 2_592_000):
                raise BadRequest("'expires_after[seconds]' must be from 3600 to 2592000.", param="expires_after")
            expires_at = now + int(seconds)
        return FileObject(
            id=file_id,
            bytes=size,
            created_at=now,
            expires_at=expires_at,
            filename=self._filename or "upload",
            purpose=purpose,
        )

    def _text(self, name: str) -> str:
        return bytes(self._fields.get(name, b"")).decode("utf-8", "replace")


class _Tap:
    """Lets the client's reading speed govern a stream that the gateway reads itself."""

    def __init__(self) -> None:
        self._is_open = asyncio.Event()
        self._is_open.set()

    def pause_reading(self) -> None:
        self._is_open.clear()

    def resume_reading(self) -> None:
        self._is_open.set()

    def token_seen(self) -> None: ...

    def cancel(self) -> None: ...

    async def wait(self) -> None:
        await self._is_open.wait()


async def _stream(request: Request, size: int, chunks: AsyncIterator[bytes]) -> None:
    call = request.call
    tap = _Tap()
    head = b"Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
    call.start(200, head + PRIVATE + request_id_line(request.record), length=size)
    call.attach(tap)
    try:
        async for chunk in chunks:
            call.write(chunk)
            await tap.wait()
    finally:
        call.attach(None)
    call.end()
