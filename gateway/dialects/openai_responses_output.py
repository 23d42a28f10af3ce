"""The output items of an OpenAI response, and the events that tell how they come about.

Source: OpenAI API reference, "Streaming events" of the Responses API (2026-11). An item is added, grows by deltas and
is done; all that came is told once more when it is done. Ids of items stay under the 64 characters that OpenAI allows
when they are sent back.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import DialectName, ReasoningDelta, Tool, ToolCallDelta
from gateway.dialects.one_line import on_one_line
from gateway.dialects.openai_responses_tools import FREEFORM_PARAMETER, flat_name
from gateway.dialects.signatures import Proof, seal

Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_whole = msgspec.json.Decoder(int).decode
_read_freeform = msgspec.json.Decoder(dict[str, str]).decode

_TAIL = b',"sequence_number":'
_TEXT_TAIL = b',"logprobs":[]' + _TAIL


class EventLog:
    """The events of one answer. ``size`` counts the characters that are held to be told again, ``told_text`` those of
    text that is complete."""

    __slots__ = ("_number", "_out", "size", "told_text")

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._number = 0
        self.size = 0
        self.told_text = 0

    def tell(self, kind: str, members: Json) -> None:
        data = _encode({"type": kind, **members, "sequence_number": self._number})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1

    def tell_delta(self, head: bytes, text: str, tail: bytes = _TAIL) -> None:
        """An event that differs from the one before in its text only; ``head`` is all that stands before it."""
        self._out += (head, _encode(text), tail, b"%d}\n\n" % self._number)
        self._number += 1
        self.size += len(text)

    def take(self) -> bytes:
        """The events since the last time."""
        out, self._out = self._out, []
        return b"".join(out)


class SilentLog(EventLog):
    """Of a plain answer, which is made as a stream is and tells no events."""

    __slots__ = ()

    def tell(self, kind: str, members: Json) -> None:
        pass

    def tell_delta(self, head: bytes, text: str, tail: bytes = _TAIL) -> None:
        pass


def _delta_head(kind: str, place: Json) -> bytes:
    return b'event: %b\ndata: %b,"delta":' % (kind.encode(), _encode({"type": kind, **place})[:-1])


class OutputItem:
    """An item being written. ``index`` is its place in the output, ``done`` what it is once it is closed."""

    __slots__ = ("done", "id", "index", "log")
    prefix: ClassVar[str]

    def __init__(self, log: EventLog, index: int, stem: str) -> None:
        self.log = log
        self.index = index
        self.id = f"{self.prefix}_{stem}_{index}"
        self.done: Json | None = None

    def close(self, status: str) -> None:
        """Nothing more will come. ``status`` is ``completed``, or ``incomplete`` when the answer was cut in it."""

    @property
    def place(self) -> Json:
        return {"item_id": self.id, "output_index": self.index}

    def _tell_added(self, item: Json) -> None:
        self.log.tell("response.output_item.added", {"output_index": self.index, "item": item})

    def _tell_done(self, item: Json) -> None:
        self.done = item
        self.log.tell("response.output_item.done", {"output_index": self.index, "item": item})


# --- messages -----------------------------------------------------------------------------------------------------


class MessageItem(OutputItem):
    """What the model says: parts of text and of refusal."""

    __slots__ = ("_contents", "_part")
    prefix = "msg"

    def __init__(self, log: EventLog, index: int, stem: str) -> None:
        super().__init__(log, index, stem)
        self._contents: list[Json] = []
        self._part: _TextPart | _RefusalPart | None = None
        self._tell_added(self._item("in_progress"))

    def add_text(self, text: str) -> None:
        part = self._part
        if type(part) is not _TextPart:
            part = self._open_text()
        part.pieces.append(text)
        self.log.tell_delta(part.delta_head, text, _TEXT_TAIL)

    def add_refusal(self, text: str) -> None:
        part = self._part
        if type(part) is not _RefusalPart:
            self._close_part()
            self._part = part = _RefusalPart(self, len(self._contents))
        part.pieces.append(text)
        self.log.tell_delta(part.delta_head, text)

    def add_annotation(self, value: Raw) -> bool:
        """A citation; false for what is none."""
        part = self._part
        if type(part) is not _TextPart:
            part = self._open_text()
        return part.annotate(value)

    def add_probability(self, value: Raw) -> bool:
        """Of a token of the text under way; false where there is none, as in a refusal."""
        if type(self._part) is not _TextPart:
            return False
        self._part.measure(value)
        return True

    def close(self, status: str) -> None:
        if self._part is None:
            self._open_text()
        self._close_part()
        self._tell_done(self._item(status))

    def _item(self, status: str) -> Json:
        members = {"id": self.id, "type": "message", "status": status, "content": self._contents}
        return {**members, "role": "assistant"}

    def _open_text(self) -> "_TextPart":
        self._close_part()
        self._part = part = _TextPart(self, len(self._contents))
        return part

    def _close_part(self) -> None:
        if self._part is not None:
            self._contents.append(self._part.close())
            self._part = None


class _TextPart:
    __slots__ = ("_annotations", "_log", "_place", "_probabilities", "_start", "delta_head", "pieces")

    def __init__(self, item: MessageItem, index: int) -> None:
        self._log = item.log
        self._place = {**item.place, "content_index": index}
        self._annotations: list[Json] = []
        self._probabilities: list[Raw] = []
        self._start = item.log.told_text
        self.pieces: list[str] = []
        self.delta_head = _delta_head("response.output_text.delta", self._place)
        self._log.tell("response.content_part.added", {**self._place, "part": self._part("")})

    def annotate(self, value: Raw) -> bool:
        annotation = _read_annotation(value, self._start)
        if annotation is None:
            return False
        place = {**self._place, "annotation_index": len(self._annotations)}
        self._annotations.append(annotation)
        self._log.size += len(bytes(value))
        self._log.tell("response.output_text.annotation.added", {**place, "annotation": annotation})
        return True

    def measure(self, value: Raw) -> None:
        self._probabilities.append(on_one_line(value))
        self._log.size += len(value)

    def close(self) -> Json:
        text = "".join(self.pieces)
        self._log.told_text += len(text)
        part = self._part(text)
        self._log.tell("response.output_text.done", {**self._place, "text": text, "logprobs": self._probabilities})
        self._log.tell("response.content_part.done", {**self._place, "part": part})
        return part

    def _part(self, text: str) -> Json:
        members = {"annotations": self._annotations, "logprobs": self._probabilities}
        return {"type": "output_text", **members, "text": text}


class _RefusalPart:
    __slots__ = ("_log", "_place", "delta_head", "pieces")

    def __init__(self, item: MessageItem, index: int) -> None:
        self._log = item.log
        self._place = {**item.place, "content_index": index}
        self.pieces: list[str] = []
        self.delta_head = _delta_head("response.refusal.delta", self._place)
        part = {"type": "refusal", "refusal": ""}
        self._log.tell("response.content_part.added", {**self._place, "part": part})

    def close(self) -> Json:
        part = {"type": "refusal", "refusal": "".join(self.pieces)}
        self._log.tell("response.refusal.done", {**self._place, "refusal": part["refusal"]})
        self._log.tell("response.content_part.done", {**self._place, "part": part})
        return part


def _read_annotation(value: Raw, start: int) -> Json | None:
    """A citation as this API has it. Chat completions nest a ``url_citation`` in a member of that name, and count
    characters from the start of the answer, not of the part: ``start`` is where that begins."""
    try:
        members = _read_members(on_one_line(value))
        inner = _read_members(members.pop("url_citation", Raw(b"{}")))
        members = {**members, **inner}
        places = {name: _read_whole(members[name]) for name in ("start_index", "end_index") if name in members}
    except DECODE_ERRORS:
        return None
    return {**members, **{name: max(place - start, 0) for name, place in places.items()}}


# --- reasoning ----------------------------------------------------------------------------------------------------


class ReasoningItem(OutputItem):
    """One block of thought. Its text is told as a summary of one part, which is what clients show and send back."""

    __slots__ = ("_delta_head", "_pieces", "_sealed", "_summary_place", "block")
    prefix = "rs"

    def __init__(self, log: EventLog, index: int, stem: str, block: int, own_id: str | None) -> None:
        """``own_id`` is the id that the item had at the provider: what this API encrypted it knows again by that."""
        super().__init__(log, index, stem)
        self.id = own_id or self.id
        self.block = block
        self._pieces: list[str] = []
        self._sealed: str | None = None
        self._summary_place = {**self.place, "summary_index": 0}
        self._delta_head = _delta_head("response.reasoning_summary_text.delta", self._summary_place)
        self._tell_added(self._item(""))

    @property
    def is_proven(self) -> bool:
        return self._sealed is not None

    def add(self, event: ReasoningDelta, *, is_late: bool = False) -> None:
        """``is_late``: the proof is that of the words before it."""
        if event.text:
            if not self._pieces:
                self._tell_part("added", "")
            self._pieces.append(event.text)
            self.log.tell_delta(self._delta_head, event.text)
        proof = event.signature if event.redacted is None else event.redacted
        if proof:
            whole = Proof(proof, event.origin, event.id, is_redacted=event.redacted is not None, is_late=is_late)
            self._sealed = seal(whole, DialectName.OPENAI_RESPONSES)
            self.log.size += len(proof)

    def close(self, status: str) -> None:
        text = "".join(self._pieces)
        if text:
            self.log.tell("response.reasoning_summary_text.done", {**self._summary_place, "text": text})
            self._tell_part("done", text)
        self._tell_done(self._item(text))

    def _tell_part(self, what: str, text: str) -> None:
        part = {"type": "summary_text", "text": text}
        self.log.tell(f"response.reasoning_summary_part.{what}", {**self._summary_place, "part": part})

    def _item(self, text: str) -> Json:
        summary = [{"type": "summary_text", "text": text}] if text else []
        item = {"id": self.id, "type": "reasoning", "summary": summary}
        return item if self._sealed is None else {**item, "encrypted_content": self._sealed}


# --- tool calls ---------------------------------------------------------------------------------------------------


class CallItem(OutputItem):
    """A function call. It stays open until the answer ends, since providers may mix the pieces of parallel calls."""

    __slots__ = ("_delta_head", "_names", "_pieces")
    prefix = "fc"

    def __init__(self, log: EventLog, index: int, stem: str, names: Json) -> None:
        super().__init__(log, index, stem)
        self._names = names
        self._pieces: list[str] = []
        self._delta_head = _delta_head("response.function_call_arguments.delta", self.place)
        self._tell_added(self._item("in_progress", ""))

    def add(self, arguments: str) -> None:
        self._pieces.append(arguments)
        self.log.tell_delta(self._delta_head, arguments)

    def close(self, status: str) -> None:
        arguments = "".join(self._pieces)
        self.log.tell("response.function_call_arguments.done", {**self.place, "arguments": arguments})
        self._tell_done(self._item(status, arguments))

    def _item(self, status: str, arguments: str) -> Json:
        return {"id": self.id, "type": "function_call", "status": status, "arguments": arguments, **self._names}


class FreeformCallItem(OutputItem):
    """The call of a tool that takes free text. The model wrote the text into a JSON object, and only a whole object can
    be opened."""

    __slots__ = ("_names", "_pieces")
    prefix = "ctc"

    def __init__(self, log: EventLog, index: int, stem: str, names: Json) -> None:
        super().__init__(log, index, stem)
        self._names = names
        self._pieces: list[str] = []
        self._tell_added(self._item("in_progress", ""))

    def add(self, arguments: str) -> None:
        self._pieces.append(arguments)
        self.log.size += len(arguments)

    def close(self, status: str) -> None:
        text = _unwrap("".join(self._pieces))
        if text:
            self.log.tell_delta(_delta_head("response.custom_tool_call_input.delta", self.place), text)
        self.log.tell("response.custom_tool_call_input.done", {**self.place, "input": text})
        self._tell_done(self._item(status, text))

    def _item(self, status: str, text: str) -> Json:
        return {"id": self.id, "type": "custom_tool_call", "status": status, "input": text, **self._names}


def _unwrap(arguments: str) -> str:
    """The text in ``{"input": text}``. A model that wrote anything else is told as it wrote."""
    try:
        members = _read_freeform(arguments)
    except DECODE_ERRORS:
        return arguments
    return members[FREEFORM_PARAMETER] if list(members) == [FREEFORM_PARAMETER] else arguments


def open_call(
    log: EventLog, index: int, stem: str, first: ToolCallDelta, tools: Mapping[str, Tool]
) -> CallItem | FreeformCallItem:
    """The item of a call that begins with ``first``. ``tools`` are the request's by their flat names; a model may also
    call one that it was not given."""
    name, call_id = first.name or "", first.id or f"call_{stem}_{index}"
    tool = tools.get(name)
    names: Json = {"call_id": call_id, "name": name}
    if tool is not None and tool.namespace:
        names = {**names, "name": name.removeprefix(flat_name(tool.namespace, "")), "namespace": tool.namespace}
    if tool is not None and tool.is_freeform:
        return FreeformCallItem(log, index, stem, names)
    return CallItem(log, index, stem, names)
