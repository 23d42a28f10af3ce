"""What only shows when settings are seen together: an open door, a provider without its key, a loop."""

import ipaddress
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.config.environment import prefix_of, type_of
from gateway.config.found import suggest
from gateway.config.settings import ProviderSettings, ServerSettings, Settings
from gateway.core.origin import parse_origin
from gateway.core.proxy import proxy_for
from providers.contract import Provider

# 16 characters of random letters and digits are 95 bits; shorter keys are words people choose.
MIN_MASTER_KEY_CHARS = 16

# Sluice writes these itself; a second one would contradict it.
_FRAMING = (
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
_CONTENT = ("accept-encoding", "content-encoding", "content-type")
_CREDENTIALS = ("authorization", "proxy-authorization", "x-api-key")
RESERVED_HEADERS = frozenset(_FRAMING + _CONTENT + _CREDENTIALS)


class Catalog(Protocol):
    """The provider types there are; the package ``providers`` is one."""

    def provider_types(self) -> Sequence[str]: ...

    def load(self, type_name: str, /) -> Provider: ...


class Verdict(Struct, frozen=True):
    """``place`` is the setting to change. The verdict is void when one of ``rests_on`` was not readable."""

    place: str
    text: str
    rests_on: tuple[str, ...] = ()


def is_loopback(host: str) -> bool:
    """Can only this machine reach ``host``? True for 127.0.0.0/8, ::1 and ``localhost``, false for all else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def judge(settings: Settings, catalog: Catalog, environ: Mapping[str, str]) -> Iterator[Verdict]:
    """Everything that is wrong with ``settings`` as a whole, and with the proxies that ``environ`` prescribes."""
    yield from _judge_bind(settings)
    for name, provider in settings.providers.items():
        place = f"providers.{name}"
        yield from _judge_provider(place, name, provider, catalog, environ)
        yield from _judge_headers(place, provider)
        if provider.base_url is not None and points_at(settings.server, provider.base_url):
            text = "this is where Sluice itself listens; write the provider's address"
            yield Verdict(f"{place}.base_url", text, ("server.port", "server.host"))
        if provider.retry.cap < provider.retry.base:
            yield Verdict(f"{place}.retry.cap", "less than `base`; write at least that", (f"{place}.retry.base",))
    yield from _judge_names(settings)


def _judge_bind(settings: Settings) -> Iterator[Verdict]:
    host, key = settings.server.host, settings.auth.master_key
    if is_loopback(host):
        return
    advice = f"set SLUICE_MASTER_KEY to at least {MIN_MASTER_KEY_CHARS} random characters, or listen on 127.0.0.1"
    if key is None:
        text = f"other machines can reach this address and there is no master key; {advice}"
        yield Verdict("server.host", text, ("auth.master_key",))
    elif len(key.reveal()) < MIN_MASTER_KEY_CHARS:
        text = f"too short where other machines can reach `server.host`; {advice}"
        yield Verdict("auth.master_key", text, ("server.host",))


def _judge_provider(
    place: str, name: str, provider: ProviderSettings, catalog: Catalog, environ: Mapping[str, str]
) -> Iterator[Verdict]:
    types = catalog.provider_types()
    if provider.type not in types:
        text = f"there is no such provider type; {suggest(provider.type, types)}"
        yield Verdict(f"{place}.type", text)
        return
    record = catalog.load(provider.type)
    if not provider.all_keys and asks_for_key(record, provider.base_url):
        text = f"{record.title} needs a key; {_advice(name, provider.type, 'API_KEY', 'api_key')}"
        yield Verdict(f"{place}.api_key", text, (f"{place}.api_keys", f"{place}.base_url"))
    yield from _judge_path(place, provider, record)
    base_url = provider.base_url or record.base_url
    if record.simulate is not None:
        return
    if base_url:
        yield from _judge_proxy(place, provider, base_url, environ)
    else:
        text = f"{record.title} has no address of its own; {_advice(name, provider.type, 'BASE_URL', 'base_url')}"
        yield Verdict(f"{place}.base_url", text)


def asks_for_key(record: Provider, base_url: str | None) -> bool:
    """Must an instance at ``base_url`` (None: the vendor's own address) have a key? Elsewhere than at the vendor it may
    do without: local servers speak his language and often ask for nothing. ``ValueError`` when it is no base URL."""
    if base_url is None or not record.needs_key:
        return record.needs_key
    host = parse_origin(base_url).host
    return bool(record.base_url) and host == parse_origin(record.base_url).host


def _judge_path(place: str, provider: ProviderSettings, record: Provider) -> Iterator[Verdict]:
    path = parse_origin(provider.base_url).base_path if provider.base_url else ""
    for surface in itertools.chain.from_iterable(record.surfaces.values()):
        if path.endswith(surface.path):
            yield Verdict(f"{place}.base_url", f"Sluice adds {surface.path} itself; leave it out")


def _advice(name: str, type_name: str, word: str, field: str) -> str:
    """How to give the instance what it lacks; only an instance that is named after its type has variables."""
    if type_of(name, [type_name]):
        return f"set {prefix_of(name)}_{word} or write {field}"
    return f'write {field}: "${{{prefix_of(type_name)}_{word}}}"'


def _judge_proxy(
    place: str, provider: ProviderSettings, base_url: str, environ: Mapping[str, str]
) -> Iterator[Verdict]:
    try:
        if provider.proxy is None:
            proxy_for(base_url, environ)
    except ValueError as error:
        yield Verdict(f"{place}.proxy", f"the proxy that the environment prescribes cannot be used: {error}")


def _judge_headers(place: str, provider: ProviderSettings) -> Iterator[Verdict]:
    for name in provider.headers:
        if name.lower() in RESERVED_HEADERS:
            yield Verdict(
                f"{place}.headers.{name}", "Sluice sets this header itself; leave it out (keys go to api_key)"
            )


def points_at(server: ServerSettings, base_url: str) -> bool:
    """Does ``base_url`` lead to where Sluice itself listens? ``ValueError`` when it is no base URL."""
    target = parse_origin(base_url)
    is_here = is_loopback(server.host) or server.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return target.port == server.port and is_here and is_loopback(target.host)


def _judge_names(settings: Settings) -> Iterator[Verdict]:
    first: dict[str, str] = {}
    for name in settings.providers:
        other = first.setdefault(prefix_of(name), name)
        if other != name:
            yield Verdict(f"providers.{name}", f"{other!r} has the same variables, {prefix_of(name)}_...; rename one")


def remarks(settings: Settings) -> Iterator[str]:
    """What is no mistake but should be known."""
    for name, provider in settings.providers.items():
        origin = parse_origin(provider.base_url) if provider.base_url else None
        if origin is not None and not origin.is_tls and not is_loopback(origin.host):
            yield f"providers.{name}.base_url: with http:// keys and prompts travel unencrypted to another machine"
