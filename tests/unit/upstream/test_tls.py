import ssl
from pathlib import Path

from gateway.upstream.tls import server_name, tls_context
from tests.kit.authority import authority


def test_peers_are_always_verified_and_old_versions_refused() -> None:
    context = tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_an_authority_of_ones_own_stands_in_place_of_the_systems(tmp_path: Path) -> None:
    context = tls_context(authority().write(tmp_path))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509_ca"] == 1


def test_contexts_are_shared() -> None:
    assert tls_context(None) is tls_context(None)


def test_a_name_is_certified_without_its_last_dot() -> None:
    assert server_name("provider.test.") == "provider.test"
    assert server_name("provider.test") == "provider.test"
