"""Tools that the provider runs itself.

A definition in Anthropic's own words goes up as it is. Of other makers' tools those with a counterpart are translated:

- web search, with its domains and the place of the user. A search that must not leave the maker's index
  (``external_web_access`` false) has no counterpart;
- web fetch and code execution, without the files and containers of the other maker.

All others are left out and named (``tools.<kind>``), as is one whose name another tool has: names must be unique.

Source: platform.claude.com/docs, "Web search tool", "Web fetch tool", "Code execution tool"; OpenAI API reference,
"Create a model response", ``tools`` (2026-11).
"""

from collections.abc import Callable, Collection, Mapping

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import DialectName, HostedTool
from providers.claude.draft import Draft, JsonObject, read_object

_FETCH_BETA = "web-fetch-2025-09-10"
_CODE_BETA = "code-execution-2025-08-25"
_EMPTY = frozenset((b"null", b"[]", b"{}"))
_PLACE = ("city", "region", "country", "timezone")
# both at once are refused; the first already says which domains are left
_DOMAINS = ("allowed_domains", "blocked_domains")


class _Container(Struct):
    type: str = ""
    file_ids: list[Raw] = []
    memory_limit: str | None = None


class _Search(Struct):
    filters: dict[str, Raw] | None = None
    user_location: dict[str, Raw] | None = None
    search_context_size: str | None = None
    external_web_access: bool | None = None


_read_search = msgspec.json.Decoder(_Search).decode
_read_container = msgspec.json.Decoder(_Container).decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode


def write_hosted_tools(draft: Draft, taken: Collection[str], allowed: Collection[str] | None) -> list[JsonObject | Raw]:
    """``taken`` are the names of the other tools; ``allowed``, where it is given, are all that may be offered."""
    names = set(taken)
    tools: list[JsonObject | Raw] = []
    for tool in draft.request.hosted_tools or ():
        if allowed is not None and tool.kind not in allowed:
            continue
        written = tool.value if tool.origin is DialectName.ANTHROPIC_MESSAGES else _write_foreign(draft, tool, names)
        if written is not None:
            tools.append(written)
    if "web_search_options" in draft.extra:
        if "web_search" in names:
            draft.dropped.append("web_search_options")
        else:
            tools.append(_write_search_options(draft))
    return tools


def _write_foreign(draft: Draft, tool: HostedTool, names: set[str]) -> JsonObject | None:
    write = _WRITERS.get(tool.kind)
    written = None
    if write is not None and tool.kind not in names:
        try:
            written = write(draft, tool.value)
        except DECODE_ERRORS:
            raise BadRequest(f"the tool {tool.kind!r} cannot be read", param="tools") from None
    if written is None:
        draft.dropped.append(f"tools.{tool.kind}")
    else:
        names.add(tool.kind)
    return written


def _name_rest(draft: Draft, members: Mapping[str, Raw], known: Collection[str], where: str = "tools") -> None:
    for name, raw in members.items():
        if name not in known and bytes(raw) not in _EMPTY:
            draft.dropped.append(f"{where}.{name}")


def _write_web_search(draft: Draft, value: Raw) -> JsonObject | None:
    search = _read_search(value)
    if search.external_web_access is False:
        return None
    _name_rest(draft, _read_members(value), ("type", *_Search.__struct_fields__))
    tool: JsonObject = {"type": "web_search_20250305", "name": "web_search"}
    filters = {name: raw for name, raw in (search.filters or {}).items() if bytes(raw) not in _EMPTY}
    domains = next((name for name in _DOMAINS if name in filters), "")
    if domains:
        tool[domains] = filters[domains]
    _name_rest(draft, filters, (domains,), "tools.filters")
    if place := _write_place(draft, search.user_location or {}):
        tool["user_location"] = place
    if search.search_context_size not in (None, "medium"):
        draft.dropped.append("tools.search_context_size")
    return tool


def _write_place(draft: Draft, location: Mapping[str, Raw]) -> JsonObject | None:
    place = {name: location[name] for name in _PLACE if bytes(location.get(name, b"null")) != b"null"}
    _name_rest(draft, location, ("type", *_PLACE), "tools.user_location")
    return {"type": "approximate", **place} if place else None


def _write_web_fetch(draft: Draft, value: Raw) -> JsonObject | None:
    _name_rest(draft, _read_members(value), ("type",))
    draft.betas.append(_FETCH_BETA)
    return {"type": "web_fetch_20250910", "name": "web_fetch"}


def _write_code_execution(draft: Draft, value: Raw) -> JsonObject | None:
    members = _read_members(value)
    _name_rest(draft, members, ("type", "container"))
    if not _is_plain_container(members.get("container", Raw(b"null"))):
        draft.dropped.append("tools.container")
    draft.betas.append(_CODE_BETA)
    return {"type": "code_execution_20250825", "name": "code_execution"}


def _is_plain_container(raw: Raw) -> bool:
    """A container made for the occasion, with nothing in it, is what Anthropic's tool has too."""
    if bytes(raw) == b"null":
        return True
    try:
        container = _read_container(raw)
    except DECODE_ERRORS:
        return False
    return container.type == "auto" and not container.file_ids and container.memory_limit is None


_WRITERS: dict[str, Callable[[Draft, Raw], JsonObject | None]] = {
    "web_search": _write_web_search,
    "web_fetch": _write_web_fetch,
    "code_execution": _write_code_execution,
}


def _write_search_options(draft: Draft) -> JsonObject:
    """``web_search_options`` of a chat."""
    options = read_object(draft, "web_search_options")
    tool: JsonObject = {"type": "web_search_20250305", "name": "web_search"}
    location = options.get("user_location")
    if isinstance(location, dict) and isinstance(location.get("approximate"), dict):
        tool["user_location"] = {"type": "approximate", **location["approximate"]}
    if options.get("search_context_size", "medium") != "medium":
        draft.dropped.append("web_search_options.search_context_size")
    return tool
