"""From a request with a model in it to that model's answer: envelope, target, plan, attempts.

It never learns which provider it talks to: bytes go through when the client's dialect is the provider's, and through
the core types when it is not.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from gateway.call import Call
from gateway.continuity import Continuity, Thread
from gateway.core.errors import (
    BadRequest,
    ModelNotFound,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway.core.estimate import estimate_input
from gateway.core.jsonguard import guarded
from gateway.core.limits import MAX_REQUEST_ID_CHARS
from gateway.core.names import is_model_id
from gateway.core.object_ids import IdSealer
from gateway.core.retry import retry_delay
from gateway.core.types import Event, Finish, FinishReason, Usage, UsageReport
from gateway.core.units import parse_duration
from gateway.dialects.contract import Envelope
from gateway.endpoints import ENDPOINTS, Action
from gateway.inquiry import outcome_of, refusal
from gateway.plan import Plan, make_plan
from gateway.relay import PlainRelay, StreamRelay
from gateway.request import PRIVATE, Reply, Request, new_id
from gateway.targets import Target, Targets
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.record import Record, milliseconds

# What a server says of a path that it does not have.
_NOT_THERE = (404, 405, 501)
# Endpoints whose answers name tokens that nobody pays for.
_FREE = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.action is Action.COUNT_TOKENS)
_ESTIMATED = b"X-Sluice-Token-Count: estimated\r\n"

AnyRelay = TypeVar("AnyRelay", bound=PlainRelay)


class Forwarding:
    """Serves requests that name a model. Stateless between requests but for what it was given."""

    def __init__(
        self,
        *,
        targets: Targets,
        continuity: Callable[[], Continuity],
        sealer: IdSealer,
        wait_for_models: Callable[[], Awaitable[None]],
        metrics: Metrics,
        max_body_bytes: int,
    ) -> None:
        self._targets = targets
        self._continuity = continuity
        self._sealer = sealer
        self._wait_for_models = wait_for_models
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._loop = asyncio.get_running_loop()

    # --- the story ---

    def forward(self, request: Request) -> Awaitable[None]:
        """Answer a request whose body is JSON. Raises ``GatewayError`` while nothing has reached the client."""
        return self._carry(request, _read_json)

    def forward_form(self, request: Request) -> Awaitable[None]:
        """The same for a form."""
        return self._carry(request, _read_form)

    async def count_tokens(self, request: Request) -> Reply | None:
        """As ``forward``; where the provider cannot count, the answer is an estimate and says so."""
        body = await self.read_body(request)
        envelope = guarded(body, request.dialect.read_envelope)
        target = await self.find_target(request, envelope.model)
        if target.native is not None or target.translating:
            try:
                await self._carry(request, _read_json, body)
            except UpstreamRefused as error:
                # it speaks the provider's dialect and lacks this endpoint, as most compatible servers do
                if error.upstream_status not in _NOT_THERE:
                    raise
            else:
                return None
        decode, encoder = request.dialect.decode, request.dialect.encoder
        assert decode is not None
        assert encoder is not None  # whoever counts can be translated
        asked = guarded(body, decode)
        events: list[Event] = [UsageReport(Usage(input_tokens=estimate_input(asked))), Finish(FinishReason.STOP)]
        return Reply(200, encoder(asked, int(time.time())).body(events), headers=_ESTIMATED)

    async def read_body(self, request: Request) -> bytes:
        """A body that has not arrived with its head."""
        body = await request.call.read_body(self._max_body_bytes)
        request.record.upload_ms = milliseconds(monotonic() - request.call.started_at)
        return body

    async def _carry(
        self, request: Request, read: Callable[[Request, bytes], Envelope], body: bytes | None = None
    ) -> None:
        call, record = request.call, request.record
        if body is None:
            body = call.take_body(self._max_body_bytes)
            if body is None:
                body = await self.read_body(request)
        envelope = read(request, body)
        record.is_stream = envelope.stream is True
        target = await self.find_target(request, envelope.model)
        thread = release = None
        if not envelope.stands_alone(body):
            body, thread = await self._continuity().resume(request.principal.name, envelope, body, target)
            release = thread.release
            if request.endpoint.name in _FREE:
                thread = None  # nothing was answered that could be gone on from
        try:
            opened = self._sealer.open_all(body, request.principal.name, target.instance.name)
            plan = make_plan(target, request.dialect, envelope, opened, call.headers, time.time(), new_id)
            plan.release = release
            # what it refers to is kept by the account of one key
            is_kept = opened is not body or envelope.is_bound
            plan.is_bound = is_kept or (thread is not None and target.native is not None)
            record.dropped, record.cache = plan.dropped, "bypass"
            del body, opened, envelope  # a long conversation need not stay in memory while its answer streams
            if plan.is_stream:
                await self._stream(request, plan, thread)
            else:
                relay = await self._attempts(call, plan, record, PlainRelay)
                self._reply_plain(call, plan, record, relay, thread)
        finally:
            if release is not None:
                release()

    async def find_target(self, request: Request, model: str) -> Target:
        """The target of a model, noted in the record. Raises ``ModelNotFound`` or ``EndpointNotSupported``."""
        record = request.record
        try:
            target = self._targets.find(model, request.endpoint)
        except ModelNotFound:
            # a text that is no model id is not repeated, in no log either
            record.requested_model = model if is_model_id(model) else ""
            if self._targets.index.is_complete:
                raise
            target = await self._find_later(model, request)
        record.requested_model = model
        record.provider, record.model, record.series = target.instance.name, target.model, target.series
        return target

    async def _find_later(self, model: str, request: Request) -> Target:
        """A provider has not told its models yet; just after the start that is a matter of a moment."""
        started_at = monotonic()
        await self._wait_for_models()
        request.record.upstream_ms += (monotonic() - started_at) * 1000
        return self._targets.find(model, request.endpoint)

    async def _stream(self, request: Request, plan: Plan, thread: Thread | None) -> None:
        call, record = request.call, request.record
        self._metrics.active_streams += 1
        try:
            make_relay = partial(StreamRelay, call, request.dialect, plan, record, self._headers)
            relay = await self._attempts(call, plan, record, make_relay)
        finally:
            self._metrics.active_streams -= 1
            call.attach(None)
            # too late for a header, but the log line tells it
            record.dropped += plan.lost_fields()
        if not relay.is_stream:
            # asked for a stream, answered in one piece
            self._reply_plain(call, plan, record, relay, thread)
            return
        plan.target.instance.count(record.error_code if record.is_truncated else "ok")
        if thread is not None and not record.is_truncated:
            self._keep(thread, plan, relay.answer_id)

    def _reply_plain(self, call: Call, plan: Plan, record: Record, relay: PlainRelay, thread: Thread | None) -> None:
        instance = plan.target.instance
        try:
            body, summary = plan.read_plain(relay.body)
        except UpstreamError as error:
            instance.count(outcome_of(error))
            raise
        instance.count("ok")
        record.dropped += plan.lost_fields()
        # counting tokens uses none
        record.usage = None if record.endpoint in _FREE else summary.usage
        record.finish_reason = summary.finish_reason
        if thread is not None:
            self._keep(thread, plan, summary.answer_id)
        call.reply(relay.status, self._headers(plan, record, relay.content_type), body)

    def _keep(self, thread: Thread, plan: Plan, answer_id: str | None) -> None:
        if plan.encoder is not None:
            self._continuity().keep(thread, plan.encoder.kept)
        else:
            self._continuity().keep_native(thread, plan.target.instance.name, answer_id)

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
                instance.count(outcome_of(error))
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

    def _headers(self, plan: Plan, record: Record, content_type: bytes) -> bytes:
        head = b"Content-Type: %b\r\n%b%bX-Cache: BYPASS\r\nX-Request-ID: %b\r\nX-Sluice-Attempts: %d\r\n" % (
            plan.content_type(content_type),
            PRIVATE,
            plan.target.reply_headers,
            record.request_id.encode(),
            record.attempts,
        )
        if record.dropped:
            head += f"X-Sluice-Dropped: {', '.join(record.dropped)}\r\n".encode("ascii", "replace")
        return head


# --- small decisions ---


def _read_json(request: Request, body: bytes) -> Envelope:
    return guarded(body, request.dialect.read_envelope)


def _read_form(request: Request, body: bytes) -> Envelope:
    read_form = request.dialect.read_form
    assert read_form is not None  # endpoints that take forms have a dialect that reads them
    return read_form(body, request.call.headers.get("Content-Type", ""))


def _client_deadline(call: Call) -> float:
    """``X-Sluice-Timeout``: until when, in monotonic seconds, the client waits for all attempts together."""
    try:
        seconds = parse_duration(call.headers["X-Sluice-Timeout"])
    except ValueError:
        raise BadRequest("X-Sluice-Timeout is no duration; write for example 1500ms or 30s.") from None
    if seconds <= 0:
        raise BadRequest("X-Sluice-Timeout must be more than 0.")
    return call.started_at + seconds


def _refusal(plan: Plan, relay: PlainRelay) -> UpstreamError:
    error = refusal(plan.target.instance, relay)
    if plan.translator is not None and isinstance(error, UpstreamRefused):
        error.body = b""  # the words of a dialect that the client does not speak
    return error
