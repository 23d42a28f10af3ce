import pytest

from gateway.core.limits import MAX_UPSTREAM_HEADER_BYTES, MAX_UPSTREAM_HEADERS
from gateway.upstream.framing import FramingError, ends_with_connection, judge_size

LENGTH = (b"Content-Length", b"5")
CHUNKED = (b"transfer-ENCODING", b" Chunked\t")
OTHER = (b"Content-Type", b"text/plain")
DECOYS = [(b"Content-Langth", b"5"), (b"Transfer-Encodine", b"gzip")]


@pytest.mark.parametrize(
    ("status", "headers", "version", "is_endless"),
    [
        (200, [OTHER, LENGTH], "1.1", False),
        (200, [OTHER, CHUNKED], "1.1", False),
        (200, [LENGTH], "1.0", False),
        (200, [], "1.1", True),
        (200, DECOYS, "1.1", True),
        (500, [OTHER], "1.0", True),
        (205, [], "1.1", True),
        (204, [], "1.1", False),
        (204, [LENGTH], "1.1", False),
        (304, [], "1.1", False),
        (100, [], "1.1", False),
        (103, [OTHER], "1.1", False),
        (999, [], "1.1", True),
    ],
)
def test_what_ends_a_response(status: int, headers: list[tuple[bytes, bytes]], version: str, is_endless: bool) -> None:
    assert ends_with_connection(status, headers, version) is is_endless


@pytest.mark.parametrize(
    ("status", "headers", "version", "reason"),
    [
        (200, [(b"Transfer-Encoding", b"gzip, chunked")], "1.1", "other than chunked"),
        (200, [(b"Transfer-Encoding", b"chunked, chunked")], "1.1", "other than chunked"),
        (200, [(b"Transfer-Encoding", b"identity")], "1.1", "other than chunked"),
        (200, [(b"Transfer-Encoding", b"")], "1.1", "other than chunked"),
        (200, [CHUNKED, CHUNKED], "1.1", "other than chunked"),
        (200, [CHUNKED, (b"Transfer-Encoding", b"gzip")], "1.1", "other than chunked"),
        (200, [CHUNKED], "1.0", "only an HTTP/1.1"),
        (204, [CHUNKED], "1.1", "without a body"),
        (304, [CHUNKED], "1.1", "without a body"),
        (100, [CHUNKED], "1.1", "without a body"),
        (103, [LENGTH], "1.1", "no length"),
        (101, [], "1.1", "status line"),
        (99, [LENGTH], "1.1", "status line"),
        (0, [], "1.1", "status line"),
        (200, [LENGTH], "0.9", "status line"),
        (200, [LENGTH], "2.0", "status line"),
    ],
)
def test_what_is_refused(status: int, headers: list[tuple[bytes, bytes]], version: str, reason: str) -> None:
    with pytest.raises(FramingError, match=reason):
        ends_with_connection(status, headers, version)


def test_the_bounds_of_a_head() -> None:
    judge_size([OTHER] * MAX_UPSTREAM_HEADERS)
    with pytest.raises(FramingError, match="too many"):
        judge_size([OTHER] * (MAX_UPSTREAM_HEADERS + 1))
    judge_size([(b"A", b"b" * (MAX_UPSTREAM_HEADER_BYTES - 5))])
    with pytest.raises(FramingError, match="too long"):
        judge_size([(b"A", b"b" * (MAX_UPSTREAM_HEADER_BYTES - 4))])
