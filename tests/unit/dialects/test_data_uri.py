import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.data_uri import is_data_uri, parse_data_uri


@pytest.mark.parametrize(
    ("uri", "media_type", "data"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "image/png", "iVBORw0KGgo="),
        ("DATA:image/PNG;BASE64,QUJD", "image/png", "QUJD"),
        ("data:text/plain;charset=utf-8;base64,QUI=", "text/plain", "QUI="),
        ("data:image/svg+xml;name=a.svg;base64,PHN2Zz4=", "image/svg+xml", "PHN2Zz4="),
        ("data:image/png;base64,QU\r\n JD", "image/png", "QUJD"),
        ("data:image/png;base64,QUI%3D", "image/png", "QUI="),
        ("data:text/html,%3Cb%3Ehi%3C/b%3E", "text/html", base64.b64encode(b"<b>hi</b>").decode()),
        ("data:text/plain;charset=utf-8,é", "text/plain", base64.b64encode("é".encode()).decode()),
        ("data:,plain", "text/plain", base64.b64encode(b"plain").decode()),
        ("data:;base64,QUJD", "text/plain", "QUJD"),
        ("data:text/plain,a,b", "text/plain", base64.b64encode(b"a,b").decode()),
    ],
)
def test_media_type_and_data_are_told_apart(uri, media_type, data):
    assert parse_data_uri(uri) == (media_type, data)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("data:image/png;base64", "comma"),
        ("data:" + "x" * 1000 + ",QUJD", "comma"),
        ("data:image;base64,QUJD", "media type"),
        ("data:image/p ng;base64,QUJD", "media type"),
        ("data:image/png;base64,", "without data"),
        ("data:text/plain,", "without data"),
        ("data:image/png;base64,QUJ", "not valid base64"),
        ("data:image/png;base64,QUI=QUI=", "not valid base64"),
        ("data:image/png;base64,=QUI", "not valid base64"),
        ("data:image/png;base64,QU-_", "not valid base64"),
        ("data:image/png;base64,éééé", "not valid base64"),
        ("data:image/png;base64,<svg>", "not valid base64"),
    ],
)
def test_what_is_wrong_is_told(uri, reason):
    with pytest.raises(ValueError, match=reason):
        parse_data_uri(uri)


def test_only_the_scheme_makes_a_data_uri():
    assert is_data_uri("Data:,x")
    assert not is_data_uri("https://example.com/data:,x")
    assert not is_data_uri("data")


@given(st.binary(min_size=1))
def test_any_data_comes_back(data):
    encoded = base64.b64encode(data).decode()
    assert parse_data_uri(f"data:application/pdf;base64,{encoded}") == ("application/pdf", encoded)


@given(st.text())
def test_any_text_gives_base64_or_a_value_error(text):
    try:
        _, data = parse_data_uri(f"data:{text}")
    except ValueError:
        return
    assert base64.b64decode(data, validate=True)
