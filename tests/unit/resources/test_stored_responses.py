"""What another key made is not reached through a provider either, which knows nothing of our keys."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.core.errors import NotFound, PreviousResponseNotFound
from gateway.objects.contract import StoredObject
from gateway.objects.sqlite import SqliteStore
from gateway.resources.additions import Additions
from gateway.resources.responses import StoredResponses

NATIVE = cast(Any, SimpleNamespace(native=object(), instance=SimpleNamespace(name="east")))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "sluice.db", lambda count, error: None)
    yield store
    await store.close()


def asked(**members: Any) -> Any:
    given = {"continues": None, "conversation_id": None, "is_stored": True, "is_background": False, **members}
    return SimpleNamespace(**given)


def responses(store: SqliteStore) -> StoredResponses:
    log = cast(Any, SimpleNamespace(say=lambda *_, **__: None))
    additions = Additions(log, is_shared=False)
    return StoredResponses(store, cast(Any, None), cast(Any, None), additions, 60.0, lambda count, error: None)


async def test_a_strangers_response_is_not_continued_natively(store: SqliteStore) -> None:
    await store.put(StoredObject(id="resp_1", kind="response", owner="a", created_at=1.0, instance="east"))
    body = b'{"model":"m","input":"x","previous_response_id":"resp_1"}'
    envelope = asked(continues="resp_1")
    same, *_ = await responses(store).resume("a", envelope, body, NATIVE)
    assert same == body
    with pytest.raises(PreviousResponseNotFound):
        await responses(store).resume("b", envelope, body, NATIVE)


async def test_a_strangers_conversation_is_not_gone_on_with_natively(store: SqliteStore) -> None:
    await store.put(StoredObject(id="conv_1", kind="conversation", owner="a", created_at=1.0))
    body = b'{"model":"m","input":"x","conversation":"conv_1"}'
    with pytest.raises(NotFound):
        await responses(store).resume("b", asked(conversation_id="conv_1"), body, NATIVE)
