"""Refusals in the words and the shape of OpenAI's API ("Error codes" in its guide)."""

import re

import msgspec
from msgspec import Struct

INVALID_REQUEST = "invalid_request_error"


class RefusedError(Exception):
    """The simulator will not answer this request. ``headers`` come on top of the usual ones, after ``delay_s``."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = ErrorBody(message=message, type=type, param=param, code=code)
        self.headers = headers
        self.delay_s = delay_s


class ErrorBody(Struct):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(Struct):
    error: ErrorBody


_ENVELOPE = msgspec.json.Encoder()
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)


def render_error(error: ErrorBody) -> bytes:
    return _ENVELOPE.encode(ErrorEnvelope(error))


def unreadable(error: Exception) -> RefusedError:
    """The refusal for what a decoder raised, naming the field at fault."""
    if not isinstance(error, msgspec.ValidationError):
        return RefusedError("We could not parse the JSON body of your request: it is not valid JSON in UTF-8.")
    place = _PLACE.fullmatch(str(error))
    what, path = (place["what"], place["path"] or "") if place else (str(error), "")
    field = _FIELD.fullmatch(what)
    if field is None:
        code = "invalid_type" if ", got " in what else "invalid_value"
        return RefusedError(f"Invalid value for '{path or 'body'}': {what}.", param=path or None, code=code)
    param = f"{path}.{field[2]}" if path else field[2]
    if field[1] == "contains unknown":
        return RefusedError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    return RefusedError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
