import socket
import ssl

import pytest

from gateway.upstream.dial import unreachable
from gateway.upstream.tunnel import TunnelError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "certificate was not accepted"),
        (ssl.SSLError(1, "wrong version number"), "No TLS connection"),
        (socket.gaierror(-2, "Name or service not known"), "could not be resolved"),
        (UnicodeError("label too long"), "could not be resolved"),
        (TunnelError("the proxy answered CONNECT with status 502", 502), "The proxy gave no connection"),
        (TunnelError("the proxy answered CONNECT with status 407", 407), "did not accept the configured credentials"),
        (ConnectionRefusedError(111, "Connect call failed ('10.1.2.3', 443)"), "refused the connection"),
        (ConnectionResetError(104, "reset"), "could not be connected to"),
        (TimeoutError("timed out"), "could not be connected to"),
        (OSError(24, "Too many open files"), "could not be connected to"),
    ],
)
def test_every_way_to_fail_has_public_words_and_keeps_its_own_for_the_log(error: Exception, words: str) -> None:
    mapped = unreachable(error)
    assert words in mapped.message
    assert mapped.nothing_sent
    assert mapped.retryable
    assert mapped.detail == f"{type(error).__name__}: {error}"
    assert "10.1.2.3" not in mapped.message
