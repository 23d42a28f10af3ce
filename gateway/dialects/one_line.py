"""Raw JSON inside a server-sent event."""

from msgspec import Raw

_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def on_one_line(value: Raw) -> Raw:
    """White space may stand between the tokens of raw JSON, but a line end would cut a server-sent event."""
    return Raw(bytes(value).translate(_NO_LINE_ENDS))
