"""Citations of an answer, with their places in its text.

Google counts a place in bytes of UTF-8, clients count characters. In a stream the bytes are those of all the text so
far, in a plain answer those of one part; as the cited words stand beside the place, they decide where the two disagree.

- ``annotations``: web pages and maps as OpenAI ``url_citation``, and the sources of recited text with their
  ``license``;
- ``citations``: the client's own documents, in Google's words, with the place in the answer's text;
- ``provider_content``: what else the metadata hold, such as the search suggestions that Google wants to be shown.

Source: ai.google.dev/api/generate-content, "GroundingMetadata", "CitationMetadata" (2026-11).
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from gateway.core.types import ContentDelta, raw_json

# Enough for any answer; each costs a search of its text.
_MAX_CITATIONS = 1024
Span = tuple[int, int]


class _Segment(Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class _Support(Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Page(Struct):
    uri: str = ""
    title: str | None = None


class _Chunk(Struct):
    web: _Page | None = None
    maps: _Page | None = None


class _Grounding(Struct, rename="camel"):
    grounding_chunks: list[Raw] | None = None
    grounding_supports: list[_Support] | None = None


class _Source(Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None
    license: str | None = None


class _Citations(Struct, rename="camel"):
    citations: list[_Source] | None = None
    citation_sources: list[_Source] | None = None


_read_grounding = msgspec.json.Decoder(_Grounding).decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_chunk = msgspec.json.Decoder(_Chunk).decode
_read_citations = msgspec.json.Decoder(_Citations).decode


class _Text:
    """An answer's text, by bytes and by characters."""

    __slots__ = ("_ends", "_text", "chars")

    def __init__(self, text: str) -> None:
        self._text = text
        self.chars = len(text)
        # where each character ends, in bytes; ASCII needs no table
        sizes = (len(char.encode(errors="replace")) for char in text)
        self._ends = None if text.isascii() else list(itertools.accumulate(sizes))

    def span(self, start: int | None, end: int | None, quoted: str | None = None) -> Span:
        """The characters between two bytes. ``quoted`` is what should stand there."""
        first = self._char_at(start or 0)
        last = max(first, self._char_at(end) if end is not None else first)
        if quoted and self._text[first:last] != quoted:
            found = self._text.find(quoted)
            return (found, found + len(quoted)) if found >= 0 else (first, last)
        return first, last

    def _char_at(self, byte: int) -> int:
        if self._ends is None or byte <= 0:
            return min(max(byte, 0), self.chars)
        # a byte inside a character belongs to it
        return min(bisect_left(self._ends, byte) + 1, self.chars)


def tell_citations(text: str, grounding: list[Raw], cited: list[Raw], choice: int) -> list[ContentDelta]:
    """What the metadata of one candidate say about its whole ``text``; nothing twice. Raises what decoding raises."""
    place = _Text(text)
    told = itertools.chain(
        *(_tell_grounding(place, metadata) for metadata in grounding), *(_tell_sources(place, raw) for raw in cited)
    )
    # a stream may repeat its metadata with every event
    unique = dict.fromkeys((field, bytes(value)) for field, value in itertools.islice(told, _MAX_CITATIONS))
    return [ContentDelta(field, Raw(value), choice) for field, value in unique]


def _tell_grounding(text: _Text, metadata: Raw) -> Iterator[tuple[str, Raw]]:
    grounding, rest = _read_grounding(metadata), _read_members(metadata)
    chunks = grounding.grounding_chunks or []
    unused = set(range(len(chunks)))
    for support in grounding.grounding_supports or ():
        if not support.grounding_chunk_indices:
            continue
        segment = support.segment or _Segment()
        span = text.span(segment.start_index, segment.end_index, segment.text)
        for number in support.grounding_chunk_indices:
            if 0 <= number < len(chunks):
                unused.discard(number)
                yield _tell_chunk(chunks[number], span)
    for number in sorted(unused):
        yield _tell_chunk(chunks[number], (text.chars, text.chars))
    left = {name: raw for name, raw in rest.items() if name not in ("groundingChunks", "groundingSupports")}
    left = {name: raw for name, raw in left.items() if bytes(raw) not in (b"null", b"{}", b"[]")}
    if left:
        yield "provider_content", raw_json({"groundingMetadata": left})


def _tell_chunk(raw: Raw, span: Span) -> tuple[str, Raw]:
    chunk = _read_chunk(raw)
    page = chunk.web or chunk.maps
    if page is not None and page.uri:
        return "annotations", _url_citation(page.uri, page.title, span)
    return "citations", raw_json({**_read_members(raw), "start_index": span[0], "end_index": span[1]})


def _tell_sources(text: _Text, raw: Raw) -> Iterator[tuple[str, Raw]]:
    metadata = _read_citations(raw)
    for source in metadata.citations or metadata.citation_sources or ():
        if source.uri:
            span = text.span(source.start_index, source.end_index)
            yield "annotations", _url_citation(source.uri, source.title, span, source.license)


def _url_citation(url: str, title: str | None, span: Span, licence: str | None = None) -> Raw:
    cited = {"start_index": span[0], "end_index": span[1], "title": title or "", "url": url}
    written: dict[str, object] = {"type": "url_citation", "url_citation": cited}
    return raw_json({**written, "license": licence} if licence else written)
