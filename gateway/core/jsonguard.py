"""The gate every client body passes before anything is decided on it.

Decoders are lenient where a gateway may not be: the last of two ``model`` members wins, invalid UTF-8 inside a skipped
string is forwarded, depth is limited by the stack. ``guarded`` closes these gaps. What a typical body needs is a few
substring searches at memory speed; only a suspicious one pays for a real scan.

The same scan finds where a member's value stands, so that the model id can be replaced in the bytes as received.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.core.errors import BadRequest
from gateway.core.limits import KIB, MAX_JSON_CONTAINERS, MAX_JSON_DEPTH, MAX_JSON_MEMBERS, MAX_JSON_NUMBER_CHARS

T = TypeVar("T")

# What the gateway decides on. Two of them in one body would let us and the provider read different requests.
ROUTING_MEMBERS = ("model", "stream", "stream_options")

# \u0041 to \u007a spell ASCII letters: nobody needs them, except to hide a member's name.
_ESCAPED_LETTERS = (rb"\u004", rb"\u005", rb"\u006", rb"\u007")
# Possessive, so that no input makes it try twice; strings are known to be terminated (the body is valid JSON).
# all up to the next bracket: what stands inside members is of no interest
_TO_BRACKET = re.compile(rb'(?:[^][{}"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}:,]', re.DOTALL)
_NOT_BRACKETS_OR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
# What an escape is made of stays too.
_NOT_STRUCTURE_OR_ESCAPES = bytes(set(range(256)) - set(b'[]{}"\\/bfnrtu'))
# One shape for both kinds: taking away "[]" and then "{}" would take two levels of [{}] for one.
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NUMBER_CHARS = bytes.maketrans(b"123456789.eE+-", b"00000000000000")
_LONG_NUMBER_HINT = b"0" * (MAX_JSON_NUMBER_CHARS + 1)
# Of a number that is too long, looking at every fifth byte shows at least so much.
_SAMPLED = 5
_SAMPLED_NUMBER_HINT = b"0" * (len(_LONG_NUMBER_HINT) // _SAMPLED)
_LONG_NUMBER = re.compile(rb"[0-9.eE+-]{%d}" % (MAX_JSON_NUMBER_CHARS + 1))
# fewer bytes cannot hold as much
_COUNTED_FROM_BYTES = min(MAX_JSON_CONTAINERS, MAX_JSON_MEMBERS)
# From this size on one more decoding costs less than searching for the names of members.
_LONG_BODY_BYTES = 4 * KIB
_WHITE_SPACE = b" \t\r\n"
_MODEL_VALUE = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')


class _ModelOnly(msgspec.Struct):
    model: str


_read_model = msgspec.json.Decoder(_ModelOnly).decode
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def guarded(body: bytes, read: Callable[[bytes], T]) -> T:
    """``read(body)``, with everything refused that this gateway and a provider might read differently.

    ``read`` must parse the whole body and take nothing but an object; what it raises beside ``BadRequest`` becomes one.
    Raises ``BadRequest``.
    """
    if not body:
        raise BadRequest("The request body is empty; it must be a JSON object.")
    if not body.isascii():
        _check_utf8(body)
    check_counts(body)
    try:
        value = read(body)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError as error:
        raise BadRequest(f"The request body has a wrong type: {error}") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRequest(f"The request body is not valid JSON: {error}") from None
    # a search that stops costs less than two counts once a body is long, and more before
    is_long = len(body) >= _LONG_BODY_BYTES
    if _has_many_brackets(body) if is_long else body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH:
        _check_depth(body)
    if _SAMPLED_NUMBER_HINT in body[::_SAMPLED].translate(_NUMBER_CHARS):
        _check_numbers(body)
    if not (is_long and _is_measured_whole(body)):
        # ``"stream`` counts ``stream`` and ``stream_options`` alike
        has_escapes = b"\\u00" in body and _count_escaped_letters(body) > 0
        if has_escapes or body.count(b'"model"') > 1 or body.count(b'"stream') > 1:
            _check_duplicates(body)
    return value


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The request body is not valid UTF-8 at byte {error.start}.") from None


def check_counts(body: bytes) -> None:
    """Whoever decodes JSON of a stranger's making looks here first: what is small in bytes may be large in memory. JSON
    that is none is judged as well as it can be. Raises ``BadRequest``."""
    if len(body) <= _COUNTED_FROM_BYTES:
        return
    # brackets and colons inside strings count too: this number is never too low
    if body.count(b"[") + body.count(b"{") <= MAX_JSON_CONTAINERS and body.count(b":") <= MAX_JSON_MEMBERS:
        return
    bare = _without_strings(body)
    if bare.count(b"[") + bare.count(b"{") > MAX_JSON_CONTAINERS:
        raise BadRequest(f"The request body has more than {MAX_JSON_CONTAINERS} lists and objects.")
    if bare.count(b":") > MAX_JSON_MEMBERS:
        raise BadRequest(f"The request body has more than {MAX_JSON_MEMBERS} members.")


def _too_deep() -> BadRequest:
    return BadRequest(f"The request body is nested deeper than {MAX_JSON_DEPTH} levels.")


def _without_strings(body: bytes) -> bytes:
    """JSON with its strings cut out, in linear time whatever the bytes are."""
    return _outside_quotes(_without_escapes(body))


def _without_escapes(body: bytes) -> bytes:
    """Every quote that is left begins or ends a string. Escaped backslashes go first, so that a backslash before a
    quote is one that escapes it."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")


def _outside_quotes(text: bytes) -> bytes:
    return b"".join(text.split(b'"')[::2])


def _has_many_brackets(body: bytes) -> bool:
    """Are there more opening brackets, inside strings too, than levels are allowed? No more of them are looked for."""
    left = MAX_JSON_DEPTH
    for bracket in (b"[", b"{"):
        at = body.find(bracket)
        while at >= 0:
            if not left:
                return True
            left -= 1
            at = body.find(bracket, at + 1)
    return False


def _check_depth(body: bytes) -> None:
    """Take away innermost pairs, level by level; what is left after the allowed number of levels is too deep."""
    if b"\\" in body:
        # an escape stays whole, and there is less to look for it in
        body = _without_escapes(body.translate(None, _NOT_STRUCTURE_OR_ESCAPES))
    brackets = _outside_quotes(body.translate(_TO_SQUARE, _NOT_BRACKETS_OR_QUOTES))
    for _ in range(MAX_JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise _too_deep()


def _check_numbers(body: bytes) -> None:
    if _LONG_NUMBER_HINT in body.translate(_NUMBER_CHARS) and _LONG_NUMBER.search(_without_strings(body)):
        raise BadRequest(f"The request body has a number of more than {MAX_JSON_NUMBER_CHARS} characters.")


def _is_measured_whole(body: bytes) -> bool:
    """Is the body exactly as long as its members, each named once, with no escape in their names and no white space
    around? A decoder keeps one of two members of a name, so that what it dropped would be missing."""
    members = _read_members(body)
    # each has two quotes, a colon, and a comma or the last brace
    return len(body) == 1 + sum(len(name.encode(errors="replace")) + len(raw) + 4 for name, raw in members.items())


def _check_duplicates(body: bytes) -> None:
    if _is_nested_only(body):
        return
    seen = set()
    for name, _, _ in top_level_members(body):
        if name in seen and name in ROUTING_MEMBERS:
            raise BadRequest(f"The request body has more than one {name!r}.", param=name)
        seen.add(name)


def _is_nested_only(body: bytes) -> bool:
    """Do all the repetitions stand inside member values? A tool with a parameter named ``model`` is common, so this is
    worth a look that is ten times cheaper than the scan."""
    values = [bytes(value) for value in _read_members(body).values()]
    for member in ROUTING_MEMBERS:
        quoted = f'"{member}"'.encode()
        if body.count(quoted) - sum(value.count(quoted) for value in values) > 1:
            return False
    return _count_escaped_letters(body) == sum(map(_count_escaped_letters, values))


def _count_escaped_letters(text: bytes) -> int:
    return sum(map(text.count, _ESCAPED_LETTERS))


def top_level_members(body: bytes) -> list[tuple[str, int, int]]:
    """``(name, start, end)`` of every member of the top-level object of valid JSON; ``body[start:end]`` is the value
    with the white space around it."""
    members = []
    at, name, start = body.index(b"{") + 1, "", -1
    while (token := _TOKEN.search(body, at)) is not None:
        at = token.end()
        char = body[token.start()]
        if char in b"{[":
            at = _end_of_nested(body, at)
        elif char == 0x22 and start < 0:
            name = msgspec.json.decode(token[0], type=str)
        elif char == 0x3A:
            start = token.end()
        elif char in b",}":
            if start >= 0:
                members.append((name, start, token.start()))
            start = -1
    return members


def _end_of_nested(body: bytes, at: int) -> int:
    """Behind the bracket that closes the one before ``at``."""
    depth = 1
    while depth:
        match = _TO_BRACKET.match(body, at)
        assert match is not None  # it matches nothing at least
        at = match.end() + 1
        depth += 1 if body[at - 1] in b"{[" else -1
    return at


def replace_model(body: bytes, model: str) -> bytes:
    """``body`` with its top-level ``model`` replaced; every other byte stays. ``body`` has passed ``guarded``."""
    encoded = msgspec.json.encode(model)
    first, last = body.find(b'"model"'), body.rfind(b'"model"')
    # named once and with nothing that could spell it otherwise: this is the one
    is_certain = first == last and b"\\u00" not in body
    if not is_certain and _read_model(body).model == model:
        return body
    for at in (first, last):
        match = _MODEL_VALUE.match(body, at) if at >= 0 else None
        if match is None:
            continue
        replaced = body[: match.start(1)] + encoded + body[match.end(1) :]
        # a nested "model" may have been hit: only the top-level one changes what a decoder reads
        if is_certain or _read_model(replaced).model == model:
            return replaced
    start, end = _span(body, "model")
    return body[:start] + encoded + body[end:]


def request_stream_usage(body: bytes) -> bytes:
    """``body`` with ``stream_options.include_usage`` set; every other byte stays. ``body`` has passed ``guarded``."""
    is_plain = b'"stream_options"' not in body and not _count_escaped_letters(body)
    start, end = (-1, -1) if is_plain else _span(body, "stream_options")
    if start < 0:
        brace = body.index(b"{") + 1
        return body[:brace] + b'"stream_options":{"include_usage":true},' + body[brace:]
    options = msgspec.json.decode(body[start:end], type=dict[str, msgspec.Raw] | None) or {}
    options["include_usage"] = msgspec.Raw(b"true")
    return body[:start] + msgspec.json.encode(options) + body[end:]


def _span(body: bytes, member: str) -> tuple[int, int]:
    """Where the value of a top-level member stands, without the white space around it; -1 when there is none."""
    for name, start, end in top_level_members(body):
        if name == member:
            value = body[start:end].lstrip(_WHITE_SPACE)
            return end - len(value), end - len(value) + len(value.rstrip(_WHITE_SPACE))
    return -1, -1
