"""TwiML as the carrier reads it."""

import pytest

from offhook.sims.twiml import TwimlError, parse_twiml, read_twiml

STREAM = '<Connect{0}><Stream url="{1}"{2}>{3}</Stream></Connect>'


def read(body: str, content_type: str = "text/xml", **options):
    return read_twiml(f"<Response>{body}</Response>".encode(), content_type, "https://x.example/voice", **options)


def stream(action="", url="wss://x.example/media", more="", inner=""):
    return STREAM.format(action, url, more, inner)


GOOD = stream() + "<Say>sorry</Say>"


def test_a_good_document_has_nothing_to_complain_of():
    document = read(stream(' action="/after"', inner='<Parameter name="a" value="b"/>'))
    assert document.complaints == () and document.stream is not None
    assert document.stream.parameters == {"a": "b"} and document.stream.attributes == {"action": "/after"}


@pytest.mark.parametrize(
    ("document", "content_type", "code", "statement"),
    [
        (GOOD, "application/json", "12300", "W02"),
        (GOOD + "x" * 66000, "text/xml", "11750", "W04"),
        ("<Say>a & b</Say>", "text/xml", "12100", "W05"),
        ("<Say>", "text/xml", "12100", "W03"),
        (stream(url="https://x.example/media"), "text/xml", "31922", "W07"),
        (stream(url="wss://"), "text/xml", "31923", "W07"),
        (stream(url="ws://x.example/media"), "text/xml", "31922", "W07"),
        (stream(more=' track="both_tracks"'), "text/xml", "31941", "W09"),
    ],
)
def test_what_the_carrier_refuses(document, content_type, code, statement):
    found = read(document, content_type)
    assert found.refused is not None and (found.refused.code, found.refused.statement) == (code, statement)
    with pytest.raises(TwimlError, match=code):
        parse_twiml(f"<Response>{document}</Response>".encode(), content_type, "https://x.example/voice")


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"", "11770"), (b"<Other/>", "12102"), (b"\n<?xml version='1.0'?><Response/>", "12100"), (b"{}", "12100")],
)
def test_what_is_no_document(raw, code):
    refused = read_twiml(raw, "text/xml", "https://x.example").refused
    assert refused is not None and refused.code == code


def test_a_misspelt_verb_is_left_out_with_a_warning_and_what_was_meant():
    document = read('<Connect><stream url="wss://x.example/m"/></Connect><Say>bye</Say>')
    assert [verb.name for verb in document.verbs] == ["Say"] and document.unknown == ("<stream>",)
    assert document.refused is None and "meant <Stream>" in document.complaints[0].why


def test_a_misspelt_attribute_is_lost():
    document = read(stream(more=' statuscallback="https://x.example/s"') + "<Say>x</Say>")
    assert document.unknown == ("Stream.statuscallback",) and document.stream is not None
    assert "statuscallback" not in document.stream.stream_attributes


@pytest.mark.parametrize(
    ("body", "statement", "code"),
    [
        (stream(), "W12", None),
        (stream(url="wss://x.example/m?token=1") + "<Say>x</Say>", "W08", None),
        (stream() + stream(' action="/a"'), "W10", None),
        (stream(inner=f'<Parameter name="a" value="{"b" * 500}"/>') + "<Say>x</Say>", "W11", "12200"),
    ],
)
def test_what_the_carrier_takes_and_the_caller_suffers(body, statement, code):
    (complaint,) = read(body).complaints
    assert (complaint.statement, complaint.code, complaint.fatal) == (statement, code, False)


def test_the_query_of_a_stream_url_is_dropped():
    document = read(stream(url="wss://x.example/m?token=1#f"))
    assert document.stream is not None and document.stream.stream_url == "wss://x.example/m"


def test_plain_ws_is_for_loopback_servers():
    assert read(stream(url="ws://127.0.0.1/m") + "<Say>x</Say>", plain_ws=True).complaints == ()


def test_a_relative_stream_url_is_not_wss():
    refused = read(stream(url="/media")).refused
    assert refused is not None and refused.code == "31922"
