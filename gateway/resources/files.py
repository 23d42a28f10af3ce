"""``/v1/files``: at the provider that keeps files, or in the gateway for those that keep none.

An upload to a provider is streamed through: not a byte of it is kept here.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic, time

import msgspec
from msgspec import Raw, Struct

from gateway.call import Call
from gateway.core.errors import BadRequest, GatewayError, NotFound, TooLarge, UpstreamError, UpstreamRefused
from gateway.core.limits import MAX_BATCH_OUTPUT_BYTES, MAX_LISTED_OBJECTS, MAX_OBJECT_ANSWER_BYTES
from gateway.core.multipart import boundary_of
from gateway.core.names import is_header_value
from gateway.core.types import Capability
from gateway.inquiry import outcome_of, refusal
from gateway.objects.contract import ObjectStore, StoredObject
from gateway.objects.files import FileContents
from gateway.passing import upload
from gateway.relay import PlainRelay
from gateway.request import PRIVATE, Reply, Request, request_id_line
from gateway.resources.paging import find_page, list_body, read_page
from gateway.resources.passthrough import pass_through
from gateway.resources.places import Places, read_told
from gateway.resources.upload_form import UploadForm, check_plain
from gateway.targets import ProviderInstance

_FILES = Capability.FILES


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


_write = msgspec.json.Encoder().encode


class Files:
    """``new_id`` gives a random word each time it is called. ``lost`` is told of objects that could not be stored."""

    def __init__(
        self,
        store: ObjectStore,
        contents: FileContents,
        places: Places,
        max_bytes: int,
        new_id: Callable[[], str],
        lost: Callable[[int, GatewayError], None],
    ) -> None:
        self._store = store
        self._contents = contents
        self._places = places
        self._max_bytes = max_bytes
        self._new_id = new_id
        self._lost = lost

    # --- upload ---

    async def create(self, request: Request) -> Reply:
        content_type = request.call.headers.get("Content-Type", "")
        boundary = boundary_of(content_type)
        check_plain(request.call.headers.get("Content-Encoding", ""))
        if (request.call.length or 0) > self._max_bytes:
            raise self._too_large()
        instance = self._places.chosen(request, _FILES)
        if instance is None:
            return await self._keep(request, boundary)
        if not is_header_value(content_type):
            raise BadRequest("The header 'content-type' has characters that no header may have.")
        answer = self._places.seal(request, instance, await self._send(request, instance, content_type))
        told = read_told(answer)
        row = StoredObject(
            id=told.id,
            kind="file",
            owner=request.principal.name,
            created_at=time(),
            instance=instance.name,
            state=told.purpose,
            body=answer,
        )
        try:
            await self._store.put(row)
        except GatewayError as error:
            # the provider has the file, and its id tells where it is: only a list will lack it
            self._lost(1, error)
        return Reply(200, answer)

    async def _send(self, request: Request, instance: ProviderInstance, content_type: str) -> bytes:
        """Stream the client's form to the provider; its answer."""
        call, record = request.call, request.record
        record.provider = instance.name
        record.attempts += 1
        (head, *_) = instance.request_heads("POST", self._places.path(instance, _FILES), without=("content-type",))
        head += f"content-type: {content_type}\r\n".encode("ascii")
        relay = PlainRelay(asyncio.get_running_loop(), MAX_OBJECT_ANSWER_BYTES)
        started_at = monotonic()
        exchange = relay.exchange = instance.upstream.send_stream(head, call.length, relay)
        try:
            await upload(call, exchange, self._max_bytes)
            await relay.done
            if relay.status >= 300:
                raise refusal(instance, relay)
        except UpstreamError as error:
            instance.count(outcome_of(error))
            raise
        except TooLarge:
            raise self._too_large() from None
        finally:
            exchange.cancel()
            record.upstream_ms += (monotonic() - started_at) * 1000
        instance.count("ok")
        return relay.body

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The upload is larger than the {self._max_bytes} bytes accepted here (storage.max_file).")

    async def _keep(self, request: Request, boundary: bytes) -> Reply:
        """Write the form's file to the gateway's own disk as it comes."""
        form = UploadForm(boundary)
        file_id = f"file-{self._new_id()}"
        # the disk is awaited before the body
        request.call.hold_body()
        async with self._contents.create(file_id) as writer:
            async for piece in form.content(request.call.body_chunks(self._max_bytes)):
                await writer.write(piece)
            await writer.commit()
        shown = _described(file_id, writer.size, form.filename, form.purpose, form.ttl_s)
        await self._put(shown, request.principal.name)
        return Reply(200, _write(shown))

    async def write(
        self, owner: str, file_id: str, filename: str, content: AsyncGenerator[bytes, None], ttl_s: int | None = None
    ) -> str | None:
        """A file that the gateway makes itself, for a batch; its id, or None when there is no content. It takes the
        place of one that has been written under this id before."""
        async with aclosing(content), self._contents.create(file_id, MAX_BATCH_OUTPUT_BYTES) as writer:
            async for piece in content:
                await writer.write(piece)
            if writer.size:
                await writer.commit()
        if not writer.size:
            await self._store.delete(file_id, owner)
            await self._contents.delete(file_id)
            return None
        await self._put(_described(file_id, writer.size, filename, "batch_output", ttl_s), owner)
        return file_id

    async def _put(self, shown: FileObject, owner: str) -> None:
        """A content that nobody could ask for does not stay."""
        row = StoredObject(
            id=shown.id,
            kind="file",
            owner=owner,
            created_at=shown.created_at,
            expires_at=shown.expires_at,
            state=shown.purpose,
            body=_write(shown),
        )
        try:
            await self._store.put(row)
        except BaseException:
            with contextlib.suppress(GatewayError):
                await self._contents.delete(shown.id)
            raise

    def read(self, file_id: str) -> AsyncGenerator[bytes, None]:
        """The content of a file that the gateway keeps. Raises ``NotFound``."""
        return self._contents.read(file_id)

    # --- the others ---

    async def list(self, request: Request) -> Reply:
        """What was uploaded through this gateway by this caller; newest first."""
        query = request.query()
        page = read_page(query, limit=MAX_LISTED_OBJECTS, most=MAX_LISTED_OBJECTS)
        purpose = query.get("purpose")
        is_here = self._places.is_wanted(request)
        rows = await find_page(
            self._store,
            "file",
            request.principal.name,
            page,
            lambda row: purpose in (None, row.state) and is_here(row),
        )
        return Reply(200, list_body([(row.id, Raw(row.body)) for row in rows], page.limit))

    async def get(self, request: Request) -> Reply:
        if native := self._native(request):
            answer = await self._places.ask(request, native[0], "GET", self._places.path(native[0], _FILES, native[1]))
            return Reply(200, self._places.seal(request, native[0], answer))
        return Reply(200, (await self.find(request.argument(), request.principal.name)).body)

    async def delete(self, request: Request) -> Reply:
        shown, owner = request.argument(), request.principal.name
        if native := self._native(request):
            path = self._places.path(native[0], _FILES, native[1])
            try:
                answer = await self._places.ask(request, native[0], "DELETE", path)
            except UpstreamRefused as error:
                if error.upstream_status == NotFound.status:
                    await self._forget(shown, owner)
                raise
            await self._forget(shown, owner)
            return Reply(200, self._places.seal(request, native[0], answer))
        found = await self.find(shown, owner)
        await self._store.delete(found.id, owner)
        await self._contents.delete(found.id)
        return Reply(200, _write({"id": found.id, "object": "file", "deleted": True}))

    async def _forget(self, shown: str, owner: str) -> None:
        """The provider has the file no more, and no list needs to tell of it. A list that does all the same harms
        nobody."""
        with contextlib.suppress(GatewayError):
            await self._store.delete(shown, owner)

    async def content(self, request: Request) -> Reply | None:
        if native := self._native(request):
            path = self._places.path(native[0], _FILES, native[1], "content")
            await pass_through(request, native[0], path, request.providers_query(), 0)
            return None
        found = await self.find(request.argument(), request.principal.name)
        size = await self._contents.size(found.id)
        head = b"Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n"
        request.call.start(200, head + PRIVATE + request_id_line(request.record), length=size)
        if request.call.method != "HEAD":
            await _stream(request.call, self._contents.read(found.id))
        request.call.end()
        return None

    async def find(self, file_id: str, owner: str) -> StoredObject:
        """A file that the gateway keeps. Raises ``NotFound``."""
        found = await self._store.get(file_id, owner)
        if found is None or found.kind != "file" or found.instance:
            raise NotFound("There is no file with this id.")
        return found

    def _native(self, request: Request) -> tuple[ProviderInstance, str] | None:
        return self._places.opened(request, request.argument(), _FILES)


def _described(file_id: str, size: int, filename: str, purpose: str, ttl_s: int | None) -> FileObject:
    now = int(time())
    expires_at = None if ttl_s is None else now + ttl_s
    return FileObject(id=file_id, bytes=size, created_at=now, expires_at=expires_at, filename=filename, purpose=purpose)


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


async def _stream(call: Call, chunks: AsyncGenerator[bytes, None]) -> None:
    tap = _Tap()
    call.attach(tap)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                call.write(chunk)
                await tap.wait()
    finally:
        call.attach(None)
