"""What tests of forwarded requests share: a gateway with a master key, and a client that has it."""

import json
from typing import Any

from tests.kit import chat_api
from tests.kit.gateway import Gateway, Response

MASTER = "master-key-0123456789"
CLIENT_HEADERS = {"Authorization": f"Bearer {MASTER}"}
# how a stream begins that is going to break
FIRST = chat_api.role() + chat_api.text("first")


def ask(gateway: Gateway, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    return gateway.chat(headers={**CLIENT_HEADERS, **(headers or {})}, **{"model": "gpt-test", **fields})


def last_error(response: Response) -> Any:
    """The error event that a broken stream ends with."""
    assert response.status == 200
    assert response.is_complete
    assert "[DONE]" not in response.events
    error: Any = json.loads(response.events[-1])["error"]
    return error
