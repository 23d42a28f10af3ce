"""Every setting there is: one field is one setting, with its default, its unit and one line of explanation.

The reference in ``docs/configuration.md`` is printed from these fields; file and environment are judged by them.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.core.deadlines import Timeouts
from gateway.core.limits import KIB, MIB
from gateway.core.retry import RetryPolicy
from gateway.core.secret import Secret
from gateway.core.units import PositiveSeconds, Seconds

ModelId = Annotated[str, Meta(extra={"unit": "model"})]
Host = Annotated[str, Meta(extra={"unit": "host"})]
Address = Annotated[str, Meta(extra={"unit": "address"})]
# a proxy's address may hold a password
SecretAddress = Annotated[Secret, Meta(extra={"unit": "address"})]
HeaderValue = Annotated[Secret, Meta(extra={"unit": "header"})]
BodySize = Annotated[int, Meta(ge=KIB, le=1024 * MIB, extra={"unit": "size"})]
FileSize = Annotated[int, Meta(ge=KIB, le=16 * 1024 * MIB, extra={"unit": "size"})]


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Where Sluice listens and what it bears from clients."""

    host: Annotated[Host, Meta(description="Address to listen on. Anything but loopback needs `auth.master_key`.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes any free one.")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes that share the port. One is the process started.")
    ] = 1
    max_body: Annotated[BodySize, Meta(description="Largest request body; a larger one is answered 413.")] = 32 * MIB
    max_connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Open client connections of one worker at most; more are answered 503."),
    ] = 10_000
    header_timeout: Annotated[PositiveSeconds, Meta(description="A request head may take this long; else 408.")] = 10.0
    body_timeout: Annotated[
        PositiveSeconds,
        Meta(description="Grace for a request body; after it the body must keep a minimal pace, else 408."),
    ] = 30.0
    keepalive_timeout: Annotated[Seconds, Meta(description="How long an idle client connection is kept open.")] = 75.0
    write_timeout: Annotated[
        PositiveSeconds, Meta(description="How long a client may leave its answer unread before it is cut off.")
    ] = 60.0
    drain_timeout: Annotated[
        Seconds, Meta(description="On SIGTERM: how long running requests may still take before they are cut.")
    ] = 30.0


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Who may ask."""

    master_key: Annotated[
        Secret | None,
        Meta(description="The key clients send as `Authorization: Bearer` or `x-api-key`; unset leaves loopback open."),
    ] = None


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """One provider instance: whom to ask, as whom, and how patiently."""

    type: Annotated[str, Meta(description="The kind of provider; left out, it is told by the instance's name.")] = ""
    api_key: Annotated[Secret | None, Meta(description="The key Sluice shows the provider.")] = None
    api_keys: Annotated[tuple[Secret, ...], Meta(description="Further keys, used in turn with `api_key`.")] = ()
    base_url: Annotated[
        Address | None,
        Meta(description="Where the provider's API begins; unset means the vendor's own, and so does a path left out."),
    ] = None
    models: Annotated[
        tuple[ModelId, ...], Meta(description="The models to offer; empty means the provider is asked for its list.")
    ] = ()
    headers: Annotated[
        Mapping[str, HeaderValue], Meta(description="Headers added to every request to the provider, name to value.")
    ] = {}
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Open connections of one worker at most; further requests wait.")
    ] = 10_000
    idle_timeout: Annotated[
        Seconds, Meta(description="How long an unused connection is kept for the next request.")
    ] = 30.0
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust instead of the system's.")
    ] = None
    proxy: Annotated[
        SecretAddress | None, Meta(description="HTTP proxy to go through; unset obeys HTTPS_PROXY and NO_PROXY.")
    ] = None

    @property
    def all_keys(self) -> tuple[Secret, ...]:
        """``api_key`` and ``api_keys`` in this order, each key once."""
        single = () if self.api_key is None else (self.api_key,)
        return tuple(dict.fromkeys(single + self.api_keys))


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """What Prometheus may read."""

    enabled: Annotated[bool, Meta(description="Serve `/metrics`.")] = True


class LogSettings(Struct, frozen=True, kw_only=True):
    """The one line a request leaves behind."""

    format: Annotated[
        Literal["auto", "json", "text"], Meta(description="`auto` writes text on a terminal and JSON elsewhere.")
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important line that is written.")
    ] = "info"


class StorageSettings(Struct, frozen=True, kw_only=True):
    """Where the gateway keeps what clients ask it to keep: responses, conversations, files, batches."""

    type: Annotated[Literal["sqlite"], Meta(description="The kind of store; `sqlite` is one file on this machine.")] = (
        "sqlite"
    )
    path: Annotated[
        str,
        Meta(
            description="The database file; contents of files stand beside it in `files/`. Made when first needed.",
        ),
    ] = "data/sluice.db"
    max_file: Annotated[
        FileSize, Meta(description="Largest file a client may upload; a larger one is answered 413.")
    ] = 512 * MIB
    ttl: Annotated[PositiveSeconds, Meta(description="How long a stored response is kept.")] = 30 * 86400.0


class BatchSettings(Struct, frozen=True, kw_only=True):
    """The batches that the gateway runs itself."""

    concurrency: Annotated[
        int, Meta(ge=1, le=1000, description="Requests of batches that one worker sends at the same time.")
    ] = 8


class Settings(Struct, frozen=True, kw_only=True):
    """All of them. The order of ``providers`` decides which instance answers for a model that several have."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    providers: Mapping[str, ProviderSettings] = {}
    storage: StorageSettings = StorageSettings()
    batches: BatchSettings = BatchSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
