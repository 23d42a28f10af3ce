"""The life of one request, phase by phase.

    call ─ endpoint ─ principal ─ body ─ envelope ─ target ─ attempts ─ answer
                                                                  └──── settle, always

What is decided is decided by pure functions; this file calls them in order and acts on what they say. It never learns
which provider it talks to: bytes go through when the client's dialect is the provider's, and through the core types
when it is not.
"""

import asyncio
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic
from typing import TypeVar

from msgspec import Struct

from gateway.call import Call
from gateway.core.auth import KeyRing
from gateway.core.errors import (
    BadRequest,
    GatewayError,
    Internal,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    place_of,
)
from gateway.core.jsonguard import guarded
from gateway.core.limits import MAX_REQUEST_ID_CHARS
from gateway.core.names import is_model_id, is_request_id
from gateway.core.retry import retry_delay
from gateway.core.types import DialectName
from gateway.core.units import parse_duration
from gateway.dialects.contract import Dialect
from gateway.endpoints import Access, Action, Endpoint, find_methods, suggestion
from gateway.plan import Plan, make_plan
from gateway.relay import PlainRelay, StreamRelay
from gateway.targets import Target, Targets
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.record import Record, milliseconds
from gateway.telemetry.settlement import Settlement

AnyRelay = TypeVar("AnyRelay", bound=PlainRelay)

# nginx's word for "the client closed the request": it is logged and counted, and nobody receives it.
CLIENT_LEFT = 499


# Answers belong to whoever asked: no shared cache may keep them (RFC 9111, 5.2.2.5).
_PRIVATE = b"Cache-Control: no-store\r\nVary: Authorization\r\n"
_JSON = b"Content-Type: application/json\r\n" + _PRIVATE


class Reply(Struct):
    """An answer that the gateway gives itself."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Pipeline:
    """Serves calls. Stateless between requests but for what it was given."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        targets: Targets,
        dialects: Mapping[DialectName, Dialect],
        actions: Mapping[Action, Callable[[Call, Endpoint], Awaitable[Reply]]],
        wait_for_models: Callable[[], Awaitable[None]],
        metrics: Metrics,
        settlement: Settlement,
        max_body_bytes: int,
    ) -> None:
        self._keys = keys
        self._targets = targets
        self._dialects = dialects
        self._actions = actions
        self._wait_for_models = wait_for_models
        self._metrics = metrics
        self._settlement = settlement
        self._max_body_bytes = max_body_bytes
        self._loop = asyncio.get_running_loop()
        # unique, cheap and telling nothing: a random word per process and a running number
        self._id_prefix = f"req_{os.urandom(6).hex()}"
        self._id_numbers = itertools.count(1)

    # --- the story ---

    async def answer(self, call: Call) -> None:
        """Answer one call, whatever happens, and settle it."""
        record = Record(self._request_id(call))
        dialect = self._dialects[DialectName.OPENAI_CHAT]
        try:
            endpoint = self._find_endpoint(call)
            record.endpoint = endpoint.name
            dialect = self._dialects[endpoint.dialect]
            if endpoint.access is Access.PUBLIC:
                record.is_probe = True
            else:
                self._keys.identify(call.headers)
            if endpoint.action is Action.FORWARD:
                await self._forward(call, endpoint, dialect, record)
            else:
                self._reply(call, record, await self._actions[endpoint.action](call, endpoint))
        except GatewayError as error:
            self._refuse(call, dialect, record, error)
        except asyncio.CancelledError:
            record.is_disconnected = True
            record.status = CLIENT_LEFT
            raise
        except Exception as error:
            self._refuse(call, dialect, record, _unexpected(error))
        finally:
            self._settle(call, record)

    async def _forward(self, call: Call, endpoint: Endpoint, dialect: Dialect, record: Record) -> None:
        assert endpoint.capability is not None
        body = call.take_body(self._max_body_bytes)
        if body is None:
            body = await call.read_body(self._max_body_bytes)
            record.upload_ms = milliseconds(monotonic() - call.started_at)
        envelope = guarded(body, dialect.read_envelope)
        record.is_stream = envelope.stream is True
        try:
            target = self._targets.find(envelope.model, endpoint.capability, endpoint.name)
        except ModelNotFound:
            # a text that is no model id is not repeated, in no log either
            record.requested_model = envelope.model if is_model_id(envelope.model) else ""
            if self._targets.index.is_complete:
                raise
            target = await self._find_later(envelope.model, endpoint, record)
        record.requested_model = envelope.model
        record.provider, record.model, record.series = target.instance.name, target.model, target.series
        plan = make_plan(target, dialect, envelope, body, call.headers, time.time())
        record.dropped, record.cache = plan.dropped, "bypass"
        del body, envelope  # a long conversation need not stay in memory while its answer streams
        if plan.is_stream:
            await self._stream(call, dialect, plan, record)
        else:
            relay = await self._attempts(call, plan, record, PlainRelay)
            self._reply_plain(call, plan, record, relay)

    async def _find_later(self, model: str, endpoint: Endpoint, record: Record) -> Target:
        """A provider has not told its models yet; just after the start that is a matter of a moment."""
        assert endpoint.capability is not None
        started_at = monotonic()
        await self._wait_for_models()
        record.upstream_ms += (monotonic() - started_at) * 1000
        return self._targets.find(model, endpoint.capability, endpoint.name)

    async def _stream(self, call: Call, dialect: Dialect, plan: Plan, record: Record) -> None:
        self._metrics.active_streams += 1
        try:
            make_relay = partial(StreamRelay, call, dialect, plan, record, self._headers)
            relay = await self._attempts(call, plan, record, make_relay)
        finally:
            self._metrics.active_streams -= 1
            call.attach(None)
        if relay.is_stream:
            plan.target.instance.count(record.error_code if record.is_truncated else "ok")
        else:
            # asked for a stream, answered in one piece
            self._reply_plain(call, plan, record, relay)

    def _reply_plain(self, call: Call, plan: Plan, record: Record, relay: PlainRelay) -> None:
        instance = plan.target.instance
        try:
            body, summary = plan.read_plain(relay.body)
        except UpstreamError as error:
            instance.count(_outcome(error))
            raise
        instance.count("ok")
        record.usage, record.finish_reason = summary.usage, summary.finish_reason
        call.reply(relay.status, self._headers(plan, record, relay.content_type), body)

    # --- attempts ---

    async def _attempts(
        self, call: Call, plan: Plan, record: Record, make_relay: Callable[[asyncio.AbstractEventLoop], AnyRelay]
    ) -> AnyRelay:
        """Ask, and ask again as the policy allows: only while nothing has reached the client."""
        instance = plan.target.instance
        give_up_at = _client_deadline(call) if "X-Sluice-Timeout" in call.headers else None
        while True:
            relay = make_relay(self._loop)
            record.attempts += 1
            started_at = monotonic()
            head = plan.request_head()
            exchange = relay.exchange = instance.upstream.send(head, plan.body, relay, streamed=plan.is_stream)
            if plan.is_stream:
                call.attach(exchange)
            timer = None if give_up_at is None else self._give_up_later(relay, give_up_at - started_at)
            try:
                await relay.done
                if relay.status >= 300:
                    raise _refusal(plan, relay)
            except UpstreamError as error:
                instance.count(_outcome(error))
                delay_s = retry_delay(instance.retry, record.attempts, error, random.random())  # noqa: S311 - jitter
                if delay_s is None or (give_up_at is not None and monotonic() + delay_s >= give_up_at):
                    raise
            except asyncio.CancelledError:
                instance.count("cancelled")
                relay.abandon()
                raise
            else:
                return relay
            finally:
                # the client may have left, and then the provider's socket closes with it
                exchange.cancel()
                relay.close()
                if timer is not None:
                    timer.cancel()
                record.upstream_ms += (monotonic() - started_at) * 1000
                if relay.request_id:
                    shown = instance.scrub(relay.request_id)[:MAX_REQUEST_ID_CHARS]
                    record.upstream_request_id = shown.decode("latin-1")
            await asyncio.sleep(delay_s)
            record.upstream_ms += delay_s * 1000

    def _give_up_later(self, relay: PlainRelay, seconds: float) -> asyncio.TimerHandle:
        expired = UpstreamTimeout("The answer took longer than the request's X-Sluice-Timeout.", phase="total")
        return self._loop.call_later(max(0.0, seconds), relay.response_failed, expired)

    # --- ends ---

    def _headers(self, plan: Plan, record: Record, content_type: bytes) -> bytes:
        head = b"Content-Type: %b\r\n%b%bX-Cache: BYPASS\r\nX-Request-ID: %b\r\nX-Sluice-Attempts: %d\r\n" % (
            plan.content_type(content_type),
            _PRIVATE,
            plan.target.reply_headers,
            record.request_id.encode(),
            record.attempts,
        )
        if record.dropped:
            head += f"X-Sluice-Dropped: {', '.join(record.dropped)}\r\n".encode("ascii", "replace")
        return head

    def _reply(self, call: Call, record: Record, reply: Reply) -> None:
        content_type = f"Content-Type: {reply.content_type}\r\n".encode()
        call.reply(reply.status, content_type + _PRIVATE + _request_id_line(record), reply.body)

    def _refuse(self, call: Call, dialect: Dialect, record: Record, error: GatewayError) -> None:
        record.error_code, record.detail = error.code, error.for_log()
        record.status = error.status
        if call.has_started:
            # too late for a status, and whoever could have told it in the stream did not: never a clean end
            call.abort()
            return
        headers = _JSON + _request_id_line(record)
        if isinstance(error, UpstreamError):
            if error.source == "upstream":
                error.provider = record.provider  # whose words these are
            headers += f"X-Sluice-Provider: {record.provider}\r\nX-Sluice-Attempts: {record.attempts}\r\n".encode()
        headers += "".join(f"{name}: {value}\r\n" for name, value in error.response_headers()).encode("latin-1")
        body = error.body if isinstance(error, UpstreamRefused) else b""
        call.reply(error.status, headers, body or dialect.error_body(error))

    def _settle(self, call: Call, record: Record) -> None:
        record.duration_ms = milliseconds(monotonic() - call.started_at)
        record.upstream_ms = milliseconds(record.upstream_ms / 1000)
        record.bytes_in, record.bytes_out = call.bytes_in, call.bytes_out
        if not record.is_disconnected:
            record.status = call.status or record.status
        self._settlement.add(record)

    # --- small decisions ---

    def _find_endpoint(self, call: Call) -> Endpoint:
        methods = find_methods(call.path)
        endpoint = methods.get("GET" if call.method == "HEAD" else call.method)
        if endpoint is not None:
            return endpoint
        if methods:
            allowed = tuple(sorted(methods)) + (("HEAD",) if "GET" in methods else ())
            error = MethodNotAllowed(
                f"{call.method} is not possible here; use {' or '.join(allowed)}.", detail=_asked(call)
            )
            error.allowed = allowed
            raise error
        raise NotFound(f"There is no endpoint {call.path[:200]!r}; {suggestion(call.path)}.", detail=_asked(call))

    def _request_id(self, call: Call) -> str:
        given = call.headers.get("X-Request-ID")
        if given is not None and is_request_id(given):
            return given
        return f"{self._id_prefix}{next(self._id_numbers):x}"


def _asked(call: Call) -> str:
    """What a call was for that has no endpoint to name it in the log."""
    return f"{call.method} {call.path[:200]}"


def _client_deadline(call: Call) -> float:
    """``X-Sluice-Timeout``: until when, in monotonic seconds, the client waits for all attempts together."""
    try:
        seconds = parse_duration(call.headers["X-Sluice-Timeout"])
    except ValueError:
        raise BadRequest("X-Sluice-Timeout is no duration; write for example 1500ms or 30s.") from None
    if seconds <= 0:
        raise BadRequest("X-Sluice-Timeout must be more than 0.")
    return call.started_at + seconds


def _request_id_line(record: Record) -> bytes:
    return f"X-Request-ID: {record.request_id}\r\n".encode()


def _refusal(plan: Plan, relay: PlainRelay) -> UpstreamError:
    """What an error answer of the provider means."""
    if relay.status >= 600:
        return UpstreamBroken("The provider answered with a status that HTTP does not have.")
    if relay.status < 400:
        redirect = UpstreamBroken(f"The provider answered with a redirect ({relay.status}), which is not followed.")
        redirect.retryable = False
        return redirect
    instance = plan.target.instance
    error = instance.provider.read_error(relay.status, relay.lower_headers(), instance.scrub_json(relay.body))
    error = instance.scrub_error(error)
    if plan.translator is not None:
        error.body = b""  # the words of a dialect that the client does not speak
    return error


def _outcome(error: UpstreamError) -> str:
    """An attempt's result as a metric label, from a closed set."""
    if isinstance(error, UpstreamRefused):
        return f"status_{error.upstream_status}"
    return f"timeout_{error.phase}" if isinstance(error, UpstreamTimeout) else error.code


def _unexpected(error: Exception) -> Internal:
    return Internal("The gateway failed on this request; its log has the request id.", detail=place_of(error))
