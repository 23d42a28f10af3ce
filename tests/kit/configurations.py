"""A small world to read configurations in: five provider types, and files that are only text."""

from collections.abc import Mapping

from gateway.config.found import ConfigError
from gateway.config.load import Effective, interpret
from gateway.core.errors import UpstreamRefused
from gateway.core.types import Capability, DialectName
from providers.contract import Provider, Script, Surface


def _read_error(status: int, _headers: Mapping[str, str], _body: bytes) -> UpstreamRefused:
    return UpstreamRefused("refused", upstream_status=status, retryable=False)


def _provider(name: str, base_url: str = "https://api.example.com/v1", *, needs_key: bool = True) -> Provider:
    simulate = (lambda _capability, _body: Script(200, "text/plain", [])) if name == "simulator" else None
    return Provider(
        name=name,
        title=name.title(),
        base_url=base_url,
        surfaces={Capability.CHAT: (Surface(path="/chat/completions", dialect=DialectName.OPENAI_CHAT),)},
        read_error=_read_error,
        needs_key=needs_key,
        simulate=simulate,
    )


class Catalog:
    """``openai`` and ``anthropic`` need a key, ``openai_compatible`` a key and an address, ``ollama`` neither."""

    _records = {
        record.name: record
        for record in (
            _provider("anthropic"),
            _provider("ollama", "http://localhost:11434", needs_key=False),
            _provider("openai"),
            _provider("openai_compatible", ""),
            _provider("simulator", "", needs_key=False),
        )
    }

    def provider_types(self) -> tuple[str, ...]:
        return tuple(self._records)

    def load(self, type_name: str, /) -> Provider:
        return self._records[type_name]


def read(text: str = "", arguments: Mapping[str, str] | None = None, **environ: str) -> Effective:
    """The settings of a file ``sluice.yaml`` that holds ``text``, and of these variables."""
    return interpret("sluice.yaml", text, environ, arguments or {}, Catalog())


def outcome(text: str = "", arguments: Mapping[str, str] | None = None, **environ: str) -> Effective | ConfigError:
    """What such a configuration comes to, whichever of the two."""
    try:
        return read(text, arguments, **environ)
    except ConfigError as error:
        return error


def problems(text: str = "", arguments: Mapping[str, str] | None = None, **environ: str) -> list[str]:
    """What is wrong with such a configuration, in words."""
    found = outcome(text, arguments, **environ)
    return [str(problem) for problem in found.problems] if isinstance(found, ConfigError) else []
