"""The composition root: builds every object once, wires them, starts, drains, stops.

Only this file (and the command line above it) knows concrete classes on all sides.
"""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator

import uvloop

from gateway.config.settings import ProviderSettings, Settings
from gateway.core.auth import KeyRing
from gateway.core.errors import NotFound
from gateway.core.limits import MAX_PASSED_BODY_BYTES
from gateway.core.object_ids import IdSealer, sealing_secret
from gateway.core.origin import parse_origin
from gateway.core.proxy import parse_proxy, proxy_for
from gateway.core.secret import Secret
from gateway.dialects import openai_chat
from gateway.dialects.spoken import TELLING_HEADERS, spoken_dialects
from gateway.discovery import Discovery
from gateway.endpoints import ENDPOINTS, Access, Action
from gateway.forwarding import Forwarding
from gateway.pipeline import Act, Pipeline
from gateway.request import Reply, Request
from gateway.resources.keeping import Keeping
from gateway.resources.models import Models
from gateway.resources.passthrough import Passthrough
from gateway.server import Edge
from gateway.targets import ProviderInstance, Targets
from gateway.telemetry.logs import Log
from gateway.telemetry.metrics import Metrics, Samples
from gateway.telemetry.settlement import Settlement
from gateway.telemetry.shared import SharedSamples
from gateway.upstream.contract import Upstream
from gateway.upstream.pool import HttpUpstream
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import PoolLimits
from providers import load
from providers.contract import Provider

# Connections the kernel holds while the loop is busy; Linux caps it at net.core.somaxconn.
BACKLOG = 4096
LAG_PROBE_S = 0.5
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CUT_SIGNAL = signal.SIGUSR1
# For cut requests to tell their clients so.
LAST_WORDS_S = 1.0


class App:
    """One worker: everything between its listening socket and its connections to providers."""

    def __init__(self, settings: Settings, shared: SharedSamples | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._settings = settings
        self._shared = shared
        self.log = Log(
            sys.stdout.fileno(),
            as_json=_logs_json(settings),
            level=settings.log.level,
            secrets=_all_secrets(settings),
            schedule=loop.call_later,
        )
        self._metrics = Metrics()
        self._targets = Targets(list(_instances(settings)), self._metrics)
        self.settlement = Settlement(self._metrics, self.log, loop.call_later)
        self._discovery = Discovery(self._targets, self.log)
        sealer = IdSealer(sealing_secret(settings.auth.master_key))
        self._keeping = Keeping(
            settings.storage,
            settings.batches,
            targets=self._targets,
            sealer=sealer,
            log=self.log,
            is_shared=settings.server.workers > 1,
        )
        forwarding = Forwarding(
            targets=self._targets,
            continuity=lambda: self._keeping.responses,
            sealer=sealer,
            wait_for_models=self._discovery.wait_for_first_answers,
            metrics=self._metrics,
            max_body_bytes=settings.server.max_body,
        )
        self._pipeline = pipeline = Pipeline(
            keys=KeyRing(settings.auth.master_key),
            dialects=spoken_dialects(),
            telling_headers=TELLING_HEADERS,
            actions=self._actions(forwarding),
            settlement=self.settlement,
        )
        probes = [endpoint.path for endpoint in ENDPOINTS if endpoint.access is Access.PUBLIC]
        self._edge = Edge(pipeline.answer, openai_chat.DIALECT.error_body, settings.server, probes)
        self._server: asyncio.Server | None = None
        self._told_refusals = 0
        self._lag_due = loop.time() + LAG_PROBE_S
        self._lag_timer = loop.call_at(self._lag_due, self._probe_lag)

    def _actions(self, forwarding: Forwarding) -> dict[Action, Act]:
        models = Models(self._targets)
        return {
            Action.FORWARD: forwarding.forward,
            Action.FORWARD_FORM: forwarding.forward_form,
            Action.COUNT_TOKENS: forwarding.count_tokens,
            Action.PASS_THROUGH: Passthrough(self._targets, MAX_PASSED_BODY_BYTES).serve,
            Action.LIST_MODELS: models.list,
            Action.GET_MODEL: models.get,
            Action.LIVE: self._live,
            Action.READY: self._ready,
            Action.METRICS: self._scrape,
            **self._keeping.actions(),
        }

    # --- life ---

    async def start(self, sock: socket.socket) -> None:
        self._edge.start()
        self._server = await self._loop.create_server(self._edge, sock=sock, backlog=BACKLOG)
        self._discovery.start()
        self._keeping.start(self._pipeline.answer)

    async def drain(self) -> None:
        """Take nothing new and let running requests finish within the grace."""
        assert self._server is not None
        self._server.close()
        self._edge.drain()
        self.log.say("draining", running=self._edge.busy(), grace_s=self._settings.server.drain_timeout)
        await self._wait_idle(self._settings.server.drain_timeout)

    async def _wait_idle(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._edge.wait_idle()

    async def close(self) -> None:
        """Cut and count what is still running. Its providers' connections go first, so that a stream can end with an
        error that its client understands."""
        self._lag_timer.cancel()
        await self._discovery.stop()
        await self._keeping.stop()
        cut = self._edge.busy()
        for instance in self._targets.instances.values():
            await instance.upstream.close()
        await self._wait_idle(LAST_WORDS_S)
        self._edge.stop()
        # whoever was cut still has to be settled
        await self._wait_idle(LAST_WORDS_S)
        await self._keeping.close()
        samples = self._samples()
        if self._shared is not None:
            self._shared.publish(samples)
        self.log.say("stopped", cut_requests=cut)
        self.log.close()

    def _probe_lag(self) -> None:
        now = self._loop.time()
        self._metrics.loop_lag_s = max(0.0, now - self._lag_due)
        self._lag_due = now + LAG_PROBE_S
        self._lag_timer = self._loop.call_at(self._lag_due, self._probe_lag)
        self._tell_refusals()
        if self._shared is not None:
            self._shared.publish(self._samples())

    def _tell_refusals(self) -> None:
        """One line for all that was refused since the last one: whoever sends such heads may send many."""
        refusals = sum(self._edge.refusals.values())
        if refusals > self._told_refusals:
            new, self._told_refusals = refusals - self._told_refusals, refusals
            self.log.say("refused before a request was read", count=new, last_reason=self._edge.last_refusal)

    # --- answers the gateway gives itself ---

    async def _live(self, request: Request) -> Reply:
        return Reply(200, b'{"status":"ok"}')

    async def _ready(self, request: Request) -> Reply:
        if self._edge.is_draining:
            return Reply(503, b'{"status":"draining"}')
        return Reply(200, b'{"status":"ready"}')

    async def _scrape(self, request: Request) -> Reply:
        if not self._settings.metrics.enabled:
            raise NotFound("Metrics are switched off (metrics.enabled).")
        from gateway.telemetry.exposition import render

        samples = self._samples()
        body, content_type = render(samples if self._shared is None else self._shared.merged_with(samples))
        return Reply(200, body, content_type)

    def _samples(self) -> Samples:
        self.settlement.settle()
        connections: dict[tuple[str, ...], float] = {}
        attempts: dict[tuple[str, ...], float] = {}
        for name, instance in self._targets.instances.items():
            pool = instance.upstream.statistics()
            attempts |= {(name, outcome): count for outcome, count in instance.outcomes.items()}
            connections |= {(name, "open"): pool.open, (name, "idle"): pool.idle, (name, "waiting"): pool.waiting}
        return self._metrics.samples(
            {
                "sluice_upstream_attempts": attempts,
                "sluice_upstream_connections": connections,
                "sluice_connections": {(): len(self._edge.connections)},
                "sluice_refused_connections": {(str(s),): count for s, count in self._edge.refusals.items()},
                "sluice_slow_readers_cut": {(): self._edge.slow_readers_cut},
                "sluice_objects_lost": {(): self._keeping.lost_objects},
                "sluice_log_lines_dropped": {(): self.log.dropped_lines},
            }
        )


# --- building ---


def _logs_json(settings: Settings) -> bool:
    if settings.log.format == "auto":
        return not sys.stdout.isatty()
    return settings.log.format == "json"


def _all_secrets(settings: Settings) -> Iterator[Secret]:
    if settings.auth.master_key is not None:
        yield settings.auth.master_key
    for provider in settings.providers.values():
        yield from provider.all_keys
        yield from provider.headers.values()
        if provider.proxy is not None:
            yield provider.proxy


def _instances(settings: Settings) -> Iterator[ProviderInstance]:
    resolver = Resolver()
    for name, chosen in settings.providers.items():
        provider = load(chosen.type or name)
        yield ProviderInstance(
            name=name,
            provider=provider,
            upstream=_upstream(provider, chosen, resolver),
            retry=chosen.retry,
            keys=chosen.all_keys,
            headers=tuple(chosen.headers.items()),
            configured_models=chosen.models,
            base_path=_base_path(chosen.base_url or provider.base_url),
        )


def _base_path(base_url: str) -> str:
    return parse_origin(base_url).base_path if base_url else ""


def _upstream(provider: Provider, chosen: ProviderSettings, resolver: Resolver) -> Upstream:
    if provider.simulate is not None:
        from gateway.upstream.internal import InternalUpstream

        return InternalUpstream(provider.simulate, provider.surfaces, chosen.timeouts)
    base_url = chosen.base_url or provider.base_url
    return HttpUpstream(
        parse_origin(base_url),
        timeouts=chosen.timeouts,
        limits=PoolLimits(max_connections=chosen.max_connections, idle_s=chosen.idle_timeout),
        proxy=parse_proxy(chosen.proxy.reveal()) if chosen.proxy else proxy_for(base_url, os.environ),
        ca_file=chosen.ca_file,
        resolver=resolver,
    )


# --- running ---


def listen(settings: Settings, port: int | None = None) -> socket.socket:
    """A bound socket. Workers share the ``port`` that their parent got, who calls without. Raises ``OSError``."""
    server = settings.server
    info = socket.getaddrinfo(
        server.host, server.port if port is None else port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = info[0]
    if server.workers > 1 and port is None:
        # alone first: sharing would succeed beside another gateway that shares, and each would get half of the requests
        _bind(family, address, is_shared=False).close()
    return _bind(family, address, is_shared=server.workers > 1)


def _bind(family: int, address: tuple[object, ...], *, is_shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


async def serve(
    settings: Settings,
    sock: socket.socket,
    shared: SharedSamples | None = None,
    *,
    is_worker: bool = False,
) -> None:
    """Serve on ``sock`` until one of ``STOP_SIGNALS``, then drain. A second one cuts at once, but not in a worker: it
    may hear the same from a terminal or a service manager and from its parent, who says ``CUT_SIGNAL`` to mean it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    app = App(settings, shared)
    draining: asyncio.Task[None] | None = None

    def cut() -> None:
        if draining is not None:
            draining.cancel()

    def on_stop_signal() -> None:
        if stop.is_set() and not is_worker:
            cut()
        stop.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_stop_signal)
    loop.add_signal_handler(CUT_SIGNAL, cut)
    await app.start(sock)
    host, port = sock.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    app.log.say(
        f"Sluice serves on http://{shown_host}:{port}", providers=", ".join(settings.providers), pid=os.getpid()
    )
    app.log.flush()
    await stop.wait()
    draining = asyncio.create_task(app.drain())
    with contextlib.suppress(asyncio.CancelledError):
        await draining
    await app.close()


def _raise_file_limit() -> None:
    """Each stream holds two sockets, and the usual soft limit of 1,024 files is for programs that use ``select``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS has limits beyond the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(settings: Settings) -> int:
    """The life of the process; returns its exit code."""
    _raise_file_limit()
    try:
        sock = listen(settings)
    except OSError as error:
        hint = "PORT=9000 or --port 9000 takes another one." if error.errno == errno.EADDRINUSE else ""
        place = f"{settings.server.host}:{settings.server.port}"
        print(f"sluice: cannot listen on {place}: {error.strerror}. {hint}".rstrip(), file=sys.stderr)  # noqa: T201
        return 1
    if settings.server.workers > 1:
        from gateway.workers import supervise

        return supervise(settings, sock)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, sock))
    return 0
