"""A call on its way through the gateway, with what has been found out about it, and an answer the gateway gives."""

import base64
import os
from urllib.parse import parse_qs

from msgspec import Struct

from gateway.call import Call
from gateway.core.auth import Principal
from gateway.core.errors import BadRequest, TooLarge
from gateway.core.limits import MAX_QUERY_PARAMETERS, MAX_SMALL_BODY_BYTES
from gateway.dialects.contract import Dialect
from gateway.endpoints import Endpoint, unquoted
from gateway.telemetry.record import Record

# Answers belong to whoever asked: no shared cache may keep them (RFC 9111, 5.2.2.5).
PRIVATE = b"Cache-Control: no-store\r\nVary: Authorization\r\n"
JSON = b"Content-Type: application/json\r\n" + PRIVATE


class Request(Struct):
    """``arguments`` are what the path says beside the endpoint, still quoted."""

    call: Call
    endpoint: Endpoint
    arguments: tuple[str, ...]
    dialect: Dialect
    principal: Principal
    record: Record

    def argument(self, number: int = 0) -> str:
        return unquoted(self.arguments[number])

    async def small_body(self, max_bytes: int = MAX_SMALL_BODY_BYTES) -> bytes:
        """The whole body of a request that changes an object. Raises ``TooLarge`` among others."""
        if (self.call.length or 0) > max_bytes:
            raise TooLarge(f"The request body is larger than the {max_bytes} bytes that this endpoint accepts.")
        return await self.call.read_body(max_bytes)

    def query(self) -> dict[str, str]:
        """The query's parameters; of one that is repeated the last. Raises ``BadRequest``."""
        try:
            found = parse_qs(self.call.query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS)
        except ValueError:
            raise BadRequest(f"The query has more than {MAX_QUERY_PARAMETERS} parameters.") from None
        return {name: values[-1] for name, values in found.items()}

    def providers_query(self) -> str:
        """The query for the provider that has the object: as it came, with its question mark, but for ``provider``,
        which is said to the gateway. Empty when nothing is left."""
        pairs = [pair for pair in self.call.query.split("&") if pair and pair.partition("=")[0] != "provider"]
        return f"?{'&'.join(pairs)}" if pairs else ""


class Reply(Struct):
    """An answer that the gateway gives itself."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: bytes = b""  # further header lines


def request_id_line(record: Record) -> bytes:
    return f"X-Request-ID: {record.request_id}\r\n".encode()


def new_id() -> str:
    """24 characters that nobody can guess and that are safe in every path."""
    return base64.b32encode(os.urandom(15)).decode().lower()
