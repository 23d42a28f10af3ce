"""Bytes that the gateway passes through unread: any answer down to the client, any body up to the provider.

A ``PassRelay`` is called by the upstream as bytes arrive and writes to the client in the same breath. ``upload`` takes
the client's body at the speed at which the provider reads it; nothing is collected in either direction.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from gateway.call import Call
from gateway.core.errors import GatewayError, Internal, UpstreamBroken, UpstreamError, place_of
from gateway.core.limits import MAX_ERROR_BODY_BYTES, MAX_OBSERVED_BODY_BYTES
from gateway.core.names import is_header_name, is_header_value
from gateway.core.types import Fault, Usage
from gateway.upstream.contract import Exchange, RawHeaders, UploadExchange
from providers.contract import Summary

# What speaks of one connection (RFC 9110, section 7.6.1), and what the gateway says itself.
_CONNECTION_FIELDS: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-length", "date"),
    )
)
# What speaks of the provider's own site and would be taken for the gateway's: cookies, and rules for browsers.
_SITE_FIELDS: Final = frozenset(
    (
        *("set-cookie", "set-cookie2", "alt-svc", "strict-transport-security", "public-key-pins", "clear-site-data"),
        *("nel", "report-to", "reporting-endpoints", "expect-ct"),
    )
)
# What is said of a body, and not true any more of what is left of it.
_BODY_FIELDS: Final = frozenset(("content-encoding", "content-md5", "content-digest", "etag", "accept-ranges"))
# ``x-sluice-`` is the gateway's own word.
_FOREIGN_PREFIXES: Final = ("proxy-", "access-control-", "x-sluice-")


class Observer(Protocol):
    """What a ``PassRelay`` needs of a ``providers.contract.StreamObserver``."""

    usage: Usage | None
    finish_reason: str | None
    fault: Fault | None
    is_fault_told: bool

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class PassRelay:
    """Streams an answer of any kind to ``call``: status, header fields and body as the provider sends them.

    ``head()`` gives the gateway's own header lines; they stand in place of the provider's fields of the same names.
    ``scrub`` takes credentials out of header values, and ``scrub_error(body, is_whole)`` out of the body of an error,
    which is held back for it: providers repeat there what they were sent. Of a long one only the beginning is passed,
    and nothing of one that is compressed. No other body is changed. With ``passes_errors`` unset an answer
    with an error status (or a redirect) is not passed but collected, so that another attempt can follow: ``body`` then
    holds its first bytes.

    ``done`` comes with the end, and fails only while nothing has reached the client. An answer that breaks off later
    breaks the client's connection too, as soon as the call has been served, and ``error`` says why; a defect behind a
    whole answer is told in ``error`` too.

    ``read_summary`` sees the body of a JSON answer which is not too long; ``observer`` that of any other answer, and
    says what of it goes on. Neither sees a body with a ``Content-Encoding``. What they find is in ``usage`` and
    ``finish_reason``.
    """

    def __init__(
        self,
        call: Call,
        loop: asyncio.AbstractEventLoop,
        *,
        head: Callable[[], bytes] = bytes,
        scrub: Callable[[bytes], bytes] = bytes,
        passes_errors: bool = True,
        observer: Observer | None = None,
        read_summary: Callable[[bytes], Summary] | None = None,
        scrub_error: Callable[[bytes, bool], bytes] | None = None,
    ) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: RawHeaders = ()
        self.content_type = b""
        self.request_id = b""  # the provider's own id of this request, for its support
        self.exchange: Exchange | None = None
        self.error: GatewayError | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self._call = call
        self._head = head
        self._scrub = scrub
        self._passes_errors = passes_errors
        self._observer = observer
        self._read_summary = read_summary
        self._scrub_error = scrub_error
        self._is_encoded = False
        self._is_passed = False
        self._is_cut = False
        self._seen = bytearray()

    @property
    def body(self) -> bytes:
        """What was collected of an answer that is not passed."""
        return b"" if self._is_passed else bytes(self._seen)

    @property
    def is_event_stream(self) -> bool:
        return self.content_type.lower().startswith(b"text/event-stream")

    @property
    def is_passed(self) -> bool:
        """Has the answer's head gone out to the client?"""
        return self._is_passed

    def lower_headers(self) -> dict[str, str]:
        return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in self.headers}

    def abandon(self) -> None:
        """The client has left: note what is known so far."""
        self._note_usage()

    def close(self) -> None:
        """The attempt is over, however it ended."""

    # --- called by the upstream ---

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = headers
        length: int | None = None
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-type":
                self.content_type = value
            elif lower in (b"x-request-id", b"request-id"):
                self.request_id = value
            elif lower == b"content-length":
                length = int(value)  # the framing's judge has made sure that it is a plain number
            elif lower == b"content-encoding":
                self._is_encoded = value.lower() not in (b"", b"identity")
        if status >= 300 and not self._passes_errors:
            return
        if status >= 600:
            self._end_broken(UpstreamBroken("The provider answered with a status that HTTP does not have."))
            return
        if self._is_encoded or status >= 300:
            self._observer = self._read_summary = None
        if not self.content_type.lower().partition(b";")[0].rstrip().endswith(b"json"):
            self._read_summary = None
        elif self._read_summary is not None:
            self._observer = None
        if status >= 400 and self._scrub_error is not None and self._call.method != "HEAD":
            return
        self._start(None if self._observer is not None else length)

    def _start(self, length: int | None, without: frozenset[str] = frozenset()) -> None:
        """The head goes out to the client, but for the fields ``without`` (lower case)."""
        self._is_passed = True
        own = self._head()
        lines = own + passed_lines(self.headers, self._scrub, names_in(own) | without)
        self.headers = ()
        self._call.start(self.status, lines, length=length)

    def data_received(self, data: bytes) -> None:
        if not self._is_passed:
            self._collect(data)
            return
        if self._read_summary is not None:
            self._see(data)
        if self._observer is not None:
            try:
                data = self._observer.feed(data)
            except Exception as error:
                self._end_broken(_defect(error))
                return
        if data:
            self._call.write(data)

    def response_ended(self) -> None:
        if self.done.done():
            return
        if not self._is_passed:
            self._end_collected()
            return
        rest = b""
        if self._observer is not None:
            try:
                rest = self._observer.finish()
            except Exception as error:
                self._end_broken(_defect(error))
                return
            fault = self._observer.fault
            if fault is not None and not self._observer.is_fault_told:
                self._end_broken(UpstreamBroken("The provider's answer broke off.", detail=fault.message))
                return
        self._summarize()
        self._note_usage()
        self.done.set_result(None)
        self._call.end(rest)

    def response_failed(self, error: UpstreamError) -> None:
        if not self._is_passed and self.status >= 400 and not self.done.done():
            # an error is read for its message only: its status must not be lost with the rest of it
            self._is_cut = True
            self._end_collected()
        else:
            self._end_broken(error)

    # --- small steps ---

    def _end_collected(self) -> None:
        """An answer that was held back is there: it goes on without credentials, or is the caller's."""
        if self._passes_errors and self._scrub_error is not None:
            # what is compressed cannot be looked through; the provider was asked not to
            body = b"" if self._is_encoded else self._scrub_error(bytes(self._seen), not self._is_cut)
            self._seen.clear()
            self._start(len(body), _BODY_FIELDS)
            self._call.end(body)
        self.done.set_result(None)

    def _collect(self, data: bytes) -> None:
        self._seen += data
        if len(self._seen) > MAX_ERROR_BODY_BYTES:
            del self._seen[MAX_ERROR_BODY_BYTES:]
            self._is_cut = True
            self._cancel()
            self.response_ended()

    def _see(self, data: bytes) -> None:
        self._seen += data
        if len(self._seen) > MAX_OBSERVED_BODY_BYTES:
            self._read_summary = None
            self._seen.clear()

    def _summarize(self) -> None:
        if self._read_summary is None or not self._seen:
            return
        try:
            summary = self._read_summary(bytes(self._seen))
        except Exception as error:
            self.error = _defect(error)  # the answer itself is whole
        else:
            self.usage, self.finish_reason = summary.usage, summary.finish_reason
        self._seen.clear()

    def _note_usage(self) -> None:
        if self._observer is not None:
            self.usage, self.finish_reason = self._observer.usage, self._observer.finish_reason

    def _end_broken(self, error: GatewayError) -> None:
        """The answer did not come to its end: a real status while nothing was sent, else no clean end."""
        self._cancel()
        if self.done.done():
            return
        if not self._is_passed:
            self.done.set_exception(error)
            return
        self._note_usage()
        self.error = error
        # not at once: with the connection ends the task that is to note the error
        self._call.is_broken = True
        self.done.set_result(None)

    def _cancel(self) -> None:
        if self.exchange is not None:
            self.exchange.cancel()


def _defect(error: Exception) -> Internal:
    return Internal("The gateway failed to read the provider's answer.", detail=place_of(error))


def names_in(lines: bytes) -> frozenset[str]:
    """The lower-case names of complete header lines."""
    return frozenset(line.partition(b":")[0].decode("latin-1").lower() for line in lines.split(b"\r\n") if line)


def passed_lines(headers: RawHeaders, scrub: Callable[[bytes], bytes], without: Collection[str] = ()) -> bytes:
    """The lines of an answer's header that are for the client: none that speaks of the provider's connection or site,
    none named in ``without`` (lower case), none that is no plain name and value; credentials are taken out."""
    named = _named_by_connection(headers)
    lines = bytearray()
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        lower = name.lower()
        if lower in _CONNECTION_FIELDS or lower in _SITE_FIELDS or lower in named or lower in without:
            continue
        value = scrub(raw_value).decode("latin-1").strip(" \t")
        if lower.startswith(_FOREIGN_PREFIXES) or not (is_header_name(name) and is_header_value(value)):
            continue
        lines += f"{name}: {value}\r\n".encode("latin-1")
    return bytes(lines)


def _named_by_connection(headers: RawHeaders) -> frozenset[str]:
    """Fields that the provider meant for its next hop only."""
    values = [value.decode("latin-1") for name, value in headers if name.lower() == b"connection"]
    return frozenset(word.strip(" \t").lower() for value in values for word in value.split(","))


async def upload(call: Call, exchange: UploadExchange, max_bytes: int) -> None:
    """Send the client's body up, at the speed of the slower side. Comes back when the body is complete, or when no more
    of it is wanted: the provider has answered, or the exchange has failed, and its receiver knows how.

    The client's body is not touched before there is a connection: after a failure with ``call.bytes_in`` still 0 the
    request may be tried anew. Raises what ``Call.body_chunks`` raises, having cancelled the exchange; so does being
    cancelled, when the client leaves.
    """
    call.hold_body()
    pump = asyncio.get_running_loop().create_task(_pump(call, exchange, max_bytes))
    try:
        await asyncio.wait((pump, exchange.closed), return_when=asyncio.FIRST_COMPLETED)
        if not exchange.closed.done():
            pump.result()
    except BaseException:
        exchange.cancel()
        raise
    finally:
        if not pump.done():
            pump.cancel()
            await asyncio.wait((pump,))
        if not pump.cancelled():
            pump.exception()  # seen: with the exchange over it is of no interest


async def _pump(call: Call, exchange: UploadExchange, max_bytes: int) -> None:
    await exchange.drain()
    if exchange.closed.done():
        return
    async for piece in call.body_chunks(max_bytes):
        exchange.write(piece)
        await exchange.drain()
        if exchange.closed.done():
            return
    exchange.end()
