import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.errors import BadRequest
from gateway.resources.paging import Page, list_body, read_page


def test_a_page_is_read() -> None:
    assert read_page({}, limit=20, most=100) == Page("", 20, "desc")
    assert read_page({}, limit=20, most=100, order="asc") == Page("", 20, "asc")
    query = {"after": "x", "limit": "100", "order": "asc", "odd": "1"}
    assert read_page(query, limit=20, most=100) == Page("x", 100, "asc")
    assert read_page({"limit": ""}, limit=20, most=100).limit == 20


def read_or_refuse(name: str, text: str) -> Page | None:
    """None when the page is refused, which must name what is wrong."""
    try:
        return read_page({name: text}, limit=7, most=100)
    except BadRequest as error:
        refused = error
    assert refused.param == name
    return None


@given(st.text(max_size=12) | st.integers(-1, 200).map(str))
def test_any_limit_is_a_limit_or_refused(text: str) -> None:
    page = read_or_refuse("limit", text)
    is_limit = text.isascii() and text.isdigit() and 1 <= int(text) <= 100
    assert page is None or page.limit == (int(text) if text else 7)
    assert (page is not None) is (is_limit or not text) or len(text) > 8


@given(st.text(max_size=6))
@example("asc")
@example("desc")
def test_any_order_is_an_order_or_refused(text: str) -> None:
    page = read_or_refuse("order", text)
    assert (page is not None) is (text in ("asc", "desc"))
    assert page is None or page.order == text


@pytest.mark.parametrize(
    ("count", "shown", "has_more"), [(0, [], False), (1, [0], False), (2, [0, 1], False), (3, [0, 1], True)]
)
def test_a_list_tells_whether_there_is_more(count: int, shown: list[int], has_more: bool) -> None:
    rows = [(f"id{n}", Raw(b'{"n":%d}' % n)) for n in range(count)]
    body = json.loads(list_body(rows, 2))
    assert body == {
        "object": "list",
        "data": [{"n": n} for n in shown],
        "first_id": "id0" if shown else None,
        "last_id": f"id{shown[-1]}" if shown else None,
        "has_more": has_more,
    }
