from gateway.config.settings import ProviderSettings, Settings
from gateway.core.secret import Secret


def test_all_keys_are_in_order_and_each_once():
    a, b = Secret("key-a"), Secret("key-b")
    assert ProviderSettings(api_key=b, api_keys=(a, b)).all_keys == (b, a)
    assert ProviderSettings(api_keys=(a,)).all_keys == (a,)
    assert ProviderSettings().all_keys == ()


def test_no_secret_is_in_the_representation():
    provider = ProviderSettings(
        api_key=Secret("hush-1"), api_keys=(Secret("hush-2"),), headers={"X": Secret("hush-3")}, proxy=Secret("hush-4")
    )
    assert "hush" not in repr(Settings(providers={"a": provider}))
