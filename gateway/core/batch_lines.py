"""The lines of batch files: requests in, results out. The object they belong to is in ``batching``."""

import re
from collections.abc import Iterable, Iterator, Set

import msgspec
from msgspec import Raw, Struct

from gateway.core.batching import BatchError
from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.jsonguard import check_counts
from gateway.core.limits import (
    MAX_BATCH_ERRORS,
    MAX_BATCH_LINE_BYTES,
    MAX_BATCH_REQUESTS,
    MAX_CUSTOM_ID_CHARS,
    MIB,
)

_BOM = b"\xef\xbb\xbf"
# What ``bytes.strip`` leaves.
_WORD = re.compile(rb"[^ \t\n\r\x0b\x0c]")
_NOTHING = Raw(b"")
_NO_STREAM = Raw(b"false")


class _Line(Struct):
    """What is read of a line; other members cost nothing."""

    custom_id: Raw = _NOTHING
    method: Raw = _NOTHING
    url: Raw = _NOTHING
    body: Raw = _NOTHING


class _Body(Struct):
    stream: Raw = _NO_STREAM


_read_line = msgspec.json.Decoder(_Line).decode
_read_body = msgspec.json.Decoder(_Body).decode
_read_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode

# Ends of a request that never was sent, in OpenAI's words.
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")


class BatchRequest(Struct, frozen=True):
    """One request of a batch. ``body`` is its JSON object as written, ``line`` where it stands, counted from 1."""

    line: int
    custom_id: str
    url: str
    body: bytes


class _Fault(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class BatchReader:
    """Reads an input file for one endpoint, in pieces. Any cut of the same bytes gives the same requests and errors.

    After ``finish``, ``total`` is the number of requests and ``errors`` what is wrong, as OpenAI tells it: a batch with
    any error fails as a whole. Beyond ``MAX_BATCH_ERRORS`` errors and behind a file that is too long nothing is read.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._pending = bytearray()
        self._line = 0
        self._ids: set[str] = set()
        self._is_over = False
        self.errors: list[BatchError] = []

    @property
    def total(self) -> int:
        return len(self._ids)

    def feed(self, data: bytes) -> list[BatchRequest]:
        """The requests of the lines that ``data`` completes."""
        requests: list[BatchRequest] = []
        at = 0
        while not self._is_over:
            if not self._pending:
                # blank lines, and blanks before a line, are passed over without a look at each
                word = _WORD.search(data, at)
                begin = len(data) if word is None else word.start()
                self._line += data.count(b"\n", at, begin)
                at = begin
            end = data.find(b"\n", at)
            self._pending += data[at : end if end >= 0 else len(data)]
            if end < 0:
                break
            requests += self._take_line()
            at = end + 1
        if len(self._pending) > MAX_BATCH_LINE_BYTES:
            self._take_line()
        return requests

    def finish(self) -> list[BatchRequest]:
        """The file has ended; its last line may have no line end."""
        requests = self._take_line() if self._pending else []
        if not self._ids and not self.errors:
            self.errors.append(BatchError("empty_file", "The input file has no request."))
        return requests

    def _take_line(self) -> list[BatchRequest]:
        line = bytes(self._pending)
        self._pending.clear()
        self._line += 1
        if self._line == 1:
            line = line.removeprefix(_BOM)
        if self._is_over or not line or line.isspace():
            return []
        try:
            return [self._read(line)]
        except _Fault as fault:
            self.errors.append(BatchError(fault.code, fault.message, fault.param, self._line))
            self._is_over = self._is_over or len(self.errors) >= MAX_BATCH_ERRORS
            return []

    def _read(self, line: bytes) -> BatchRequest:
        if len(line) > MAX_BATCH_LINE_BYTES:
            self._is_over = True
            raise _Fault("invalid_json_line", f"This line is longer than {MAX_BATCH_LINE_BYTES // MIB} MiB.")
        if self.total >= MAX_BATCH_REQUESTS:
            self._is_over = True
            raise _Fault("too_many_tasks", f"The input file has more than {MAX_BATCH_REQUESTS} requests.")
        try:
            check_counts(line)
            fields = _read_line(line)
            if not line.isascii():
                line.decode()
        except BadRequest as error:
            raise _Fault("invalid_json_line", f"This line has too many parts. {error.message}") from None
        except DECODE_ERRORS:
            raise _Fault("invalid_json_line", "This line is not parseable as valid JSON.") from None
        custom_id = _text(fields.custom_id, "custom_id")
        if not 0 < len(custom_id) <= MAX_CUSTOM_ID_CHARS:
            raise _Fault("invalid_value", f"'custom_id' must have 1 to {MAX_CUSTOM_ID_CHARS} characters.", "custom_id")
        if custom_id in self._ids:
            text = "The custom_id for this request is a duplicate of another request."
            raise _Fault("duplicate_custom_id", text, "custom_id")
        # known from here on, even if the rest is wrong: a second one is a duplicate all the same
        self._ids.add(custom_id)
        if _text(fields.method, "method") != "POST":
            raise _Fault("invalid_value", "'method' must be 'POST'.", "method")
        url = _text(fields.url, "url")
        if url != self._endpoint:
            raise _Fault("url_mismatch", f"'url' must be the batch's endpoint, '{self._endpoint}'.", "url")
        return BatchRequest(self._line, custom_id, url, _body(fields.body))


def _text(value: Raw, name: str) -> str:
    if not bytes(value):
        raise _Fault("missing_required_parameter", f"'{name}' is required.", name)
    try:
        return _read_text(value)
    except DECODE_ERRORS:
        raise _Fault("invalid_type", f"'{name}' must be a string.", name) from None


def _body(value: Raw) -> bytes:
    body = bytes(value).strip()
    if not body:
        raise _Fault("missing_required_parameter", "'body' is required.", "body")
    try:
        stream = _read_body(body).stream
    except DECODE_ERRORS:
        raise _Fault("invalid_type", "'body' must be an object.", "body") from None
    if bytes(stream).strip() not in (b"false", b"null"):
        raise _Fault("invalid_value", "'body.stream' is not supported in a batch.", "body.stream")
    return body


def resume(requests: Iterable[BatchRequest], done: Set[str]) -> Iterator[BatchRequest]:
    """The requests that are left when those with the ids ``done`` have their results."""
    return (request for request in requests if request.custom_id not in done)


# --- results ------------------------------------------------------------------------------------------------------


class _Response(Struct):
    status_code: int
    request_id: str
    body: Raw


class _Error(Struct):
    code: str
    message: str


class _Result(Struct):
    id: str
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class _Told(Struct):
    """What ``read_result`` needs of a line."""

    class Response(Struct):
        status_code: int

    custom_id: str
    response: Response | None = None


class Result(Struct, frozen=True):
    """``is_completed`` lines belong into the output file, others into the error file."""

    custom_id: str
    is_completed: bool


_read_told = msgspec.json.Decoder(_Told).decode


def result_line(line_id: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The answer to one request, with its line end. ``body`` is the answer's JSON, of which only the white space
    between its parts is lost; what is no JSON becomes a string."""
    return _write(_Result(line_id, custom_id, _Response(status, request_id, _one_line(body)))) + b"\n"


def error_line(line_id: str, custom_id: str, code: str, message: str) -> bytes:
    """A request that has no answer, and why, with its line end."""
    return _write(_Result(line_id, custom_id, error=_Error(code, message))) + b"\n"


def _one_line(body: bytes) -> Raw:
    try:
        body.decode()
        return Raw(msgspec.json.format(body, indent=-1))
    except DECODE_ERRORS:
        return Raw(_write(body.decode("utf-8", "replace")))


def read_result(line: bytes) -> Result | None:
    """What a line of ours says; ``None`` for one that was not written to its end."""
    try:
        told = _read_told(line)
    except DECODE_ERRORS:
        return None
    return Result(told.custom_id, told.response is not None and 200 <= told.response.status_code < 300)
