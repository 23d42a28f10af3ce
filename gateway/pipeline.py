"""The life of one call: what every call goes through, whatever it asks for.

    call ─ endpoint ─ principal ─ the endpoint's action ─ answer
                                                           └──── settle, always

The actions are given by the composition root: ``forwarding`` for requests with a model, ``resources`` for objects that
are kept, and the gateway's own small answers.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from gateway.call import Call
from gateway.core.auth import ANYONE, KeyRing, Principal
from gateway.core.errors import (
    GatewayError,
    Internal,
    MethodNotAllowed,
    NotFound,
    UpstreamError,
    UpstreamRefused,
    place_of,
)
from gateway.core.names import is_request_id
from gateway.core.types import DialectName
from gateway.dialects.contract import Dialect
from gateway.endpoints import Access, Action, Endpoint, find, suggestion
from gateway.request import JSON, PRIVATE, Reply, Request, request_id_line
from gateway.telemetry.record import Record, milliseconds
from gateway.telemetry.settlement import Settlement

# What an endpoint's action does: it answers the call, or gives the answer.
Act = Callable[[Request], Awaitable[Reply | None]]

# nginx's word for "the client closed the request": it is logged and counted, and nobody receives it.
CLIENT_LEFT = 499


class Pipeline:
    """Serves calls. Stateless between calls but for what it was given."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        dialects: Mapping[DialectName, Dialect],
        telling_headers: Mapping[str, DialectName],
        actions: Mapping[Action, Act],
        settlement: Settlement,
    ) -> None:
        self._keys = keys
        self._dialects = dialects
        self._default = dialects[DialectName.OPENAI_CHAT]
        self._telling_headers = telling_headers
        self._actions = actions
        self._settlement = settlement
        # unique, cheap and telling nothing: a random word per process and a running number
        self._id_prefix = f"req_{os.urandom(6).hex()}"
        self._id_numbers = itertools.count(1)

    async def answer(self, call: Call, principal: Principal | None = None) -> None:
        """Answer one call, whatever happens, and settle it. Without a ``principal`` the call must tell whose it is."""
        record = Record(self._request_id(call))
        dialect = None
        try:
            endpoint, arguments = _find_endpoint(call)
            record.endpoint = endpoint.name
            dialect = self._dialects[endpoint.dialect]
            if endpoint.access is Access.PUBLIC:
                record.is_probe = True
                principal = ANYONE
            elif principal is None:
                principal = self._keys.identify(call.headers)
            request = Request(call, endpoint, arguments, dialect, principal, record)
            reply = await self._actions[endpoint.action](request)
            if reply is not None:
                _reply(call, record, reply)
        except GatewayError as error:
            _refuse(call, self._spoken(call, dialect), record, error)
        except asyncio.CancelledError:
            record.is_disconnected = True
            record.status = CLIENT_LEFT
            raise
        except Exception as error:
            _refuse(call, self._spoken(call, dialect), record, _unexpected(error))
        finally:
            self._settle(call, record)

    def _spoken(self, call: Call, dialect: Dialect | None) -> Dialect:
        """The dialect to tell an error in. A path tells it even to a method that it does not have; where the endpoint
        leaves it open, a header may give the client away."""
        if dialect is None:
            dialect = next((self._dialects[other.dialect] for other in find(call.path).methods.values()), None)
        if dialect is None or dialect is self._default:
            told = (name for header, name in self._telling_headers.items() if header in call.headers)
            return self._dialects[next(told, self._default.name)]
        return dialect

    def _settle(self, call: Call, record: Record) -> None:
        record.duration_ms = milliseconds(monotonic() - call.started_at)
        record.upstream_ms = milliseconds(record.upstream_ms / 1000)
        record.bytes_in, record.bytes_out = call.bytes_in, call.bytes_out
        if not record.is_disconnected:
            record.status = call.status or record.status
        self._settlement.add(record)

    def _request_id(self, call: Call) -> str:
        given = call.headers.get("X-Request-ID")
        if given is not None and is_request_id(given):
            return given
        return f"{self._id_prefix}{next(self._id_numbers):x}"


# --- ends ---


def _reply(call: Call, record: Record, reply: Reply) -> None:
    content_type = f"Content-Type: {reply.content_type}\r\n".encode()
    call.reply(reply.status, content_type + PRIVATE + request_id_line(record) + reply.headers, reply.body)


def _refuse(call: Call, dialect: Dialect, record: Record, error: GatewayError) -> None:
    record.error_code, record.detail = error.code, error.for_log()
    record.status = error.status
    if call.has_started:
        # too late for a status, and whoever could have told it in the stream did not: never a clean end
        call.abort()
        return
    headers = JSON + request_id_line(record)
    if isinstance(error, UpstreamError):
        if error.source == "upstream":
            error.provider = record.provider  # whose words these are
        headers += f"X-Sluice-Provider: {record.provider}\r\nX-Sluice-Attempts: {record.attempts}\r\n".encode()
    if isinstance(error, UpstreamRefused) and record.dropped:
        # what it has refused is the request without these
        headers += f"X-Sluice-Dropped: {', '.join(record.dropped)}\r\n".encode("ascii", "replace")
    headers += "".join(f"{name}: {value}\r\n" for name, value in error.response_headers()).encode("latin-1")
    body = error.body if isinstance(error, UpstreamRefused) else b""
    call.reply(error.status, headers, body or dialect.error_body(error))


# --- small decisions ---


def _find_endpoint(call: Call) -> tuple[Endpoint, tuple[str, ...]]:
    found = find(call.path)
    endpoint = found.methods.get("GET" if call.method == "HEAD" else call.method)
    if endpoint is not None:
        return endpoint, found.arguments
    if found.methods:
        allowed = tuple(sorted(found.methods)) + (("HEAD",) if "GET" in found.methods else ())
        error = MethodNotAllowed(
            f"{call.method} is not possible here; use {' or '.join(allowed)}.", detail=_asked(call)
        )
        error.allowed = allowed
        raise error
    raise NotFound(f"There is no endpoint {call.path[:200]!r}; {suggestion(call.path)}.", detail=_asked(call))


def _asked(call: Call) -> str:
    """What a call was for that has no endpoint to name it in the log."""
    return f"{call.method} {call.path[:200]}"


def _unexpected(error: Exception) -> Internal:
    return Internal("The gateway failed on this request; its log has the request id.", detail=place_of(error))
