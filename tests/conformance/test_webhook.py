"""Checklist D.1: webhook and TwiML."""

import asyncio
import xml.etree.ElementTree as ET

import pytest
from tests.conformance.harness import PUBLIC, ServerProcess, sid, world

from offhook.sims.carrier import parse_twiml
from offhook.wires.carriers import twilio


def stream_of(document: bytes) -> ET.Element:
    found = ET.fromstring(document).find("./Connect/Stream")
    assert found is not None
    return found


@pytest.mark.sid("W01")
def test_the_webhook_is_answered_within_a_second_with_no_provider_in_reach(server: ServerProcess):
    async def run():
        async with world(server, fake=False) as w:  # nothing listens where the provider should be
            took = server.elapsed()
            answer = await w.webhook(sid())
            assert answer.status_code == 200
            assert took() < 1.0

    asyncio.run(run())


@pytest.mark.sid("W02", "W03", "W04", "W06", "W07", "W08", "W09", "W10", "W12", "W14")
def test_the_document_is_what_the_carrier_takes(server: ServerProcess):
    async def run():
        async with world(server) as w:
            answer = await w.webhook(sid())
            assert answer.status_code == 200 and "location" not in answer.headers
            assert answer.headers["content-type"].startswith("text/xml")
            assert answer.content.startswith(b"<?xml") and len(answer.content) < 64 * 1024
            assert ET.fromstring(answer.content).tag == "Response"
            # the strict simulated carrier knows the verbs, their attributes, and what it refuses
            verbs = parse_twiml(answer.content, answer.headers["content-type"], PUBLIC + "/twilio/voice")
            assert [verb.name for verb in verbs] == ["Connect"]
            stream = stream_of(answer.content)
            assert stream.get("url") == "wss://voice.example.com/twilio/media"
            assert "?" not in stream.get("url", "") and stream.get("track") is None
            assert verbs[0].attributes["action"] == PUBLIC + "/twilio/after"
            assert stream.get("statusCallback") == PUBLIC + "/twilio/status"

    asyncio.run(run())


@pytest.mark.sid("W12")
def test_with_rest_credentials_a_spoken_fallback_follows(rest_server: ServerProcess):
    async def run():
        async with world(rest_server) as w:
            answer = await w.webhook(sid())
            verbs = parse_twiml(answer.content, answer.headers["content-type"], PUBLIC)
            assert [verb.name for verb in verbs] == ["Connect", "Say", "Hangup"]

    asyncio.run(run())


@pytest.mark.sid("W05", "W11")
def test_what_a_caller_chooses_is_escaped_and_cut():
    settings = twilio.CarrierSettings(public_url=PUBLIC, fallback_say='a < b & "c"')
    hook = twilio.Webhook("CA" + "0" * 32, "AC", "", "", "ringing", "inbound", {})
    document = twilio.answer(settings, hook, "token", {"name": "<&\"'>" * 200})
    value = next(p.get("value", "") for p in stream_of(document).iter("Parameter") if p.get("name") == "name")
    assert value.startswith("<&\"'>") and len("name") + len(value) < 500
    assert b"a &lt; b &amp;" in twilio.refuse(settings, "other")


@pytest.mark.sid("W13")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_get_and_post_are_answered_and_unknown_parameters_are_harmless(server: ServerProcess, method: str):
    async def run():
        async with world(server) as w:
            answer = await w.webhook(sid(), method=method, NewParameter="x", Empty="")
            assert answer.status_code == 200 and stream_of(answer.content) is not None

    asyncio.run(run())


@pytest.mark.sid("W15")
def test_a_refusal_speaks(tmp_path):
    async def run():
        process = ServerProcess(tmp_path, env={"OFFHOOK_LIMITS_MAX_CALLS": "1"})
        try:
            async with world(process) as w:
                assert stream_of((await w.webhook(sid())).content) is not None
                refused = await w.webhook(sid())
                assert refused.status_code == 200
                verbs = parse_twiml(refused.content, refused.headers["content-type"], PUBLIC)
                assert [verb.name for verb in verbs] == ["Say", "Hangup"] and "busy" in verbs[0].text
        finally:
            process.stop()

    asyncio.run(run())


@pytest.mark.sid("W16", "S02")
def test_host_headers_of_a_client_change_nothing(server: ServerProcess):
    async def run():
        async with world(server) as w:
            headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
            answer = await w.webhook(sid(), headers=headers)
            assert answer.status_code == 200  # the signature covers the configured origin
            assert stream_of(answer.content).get("url") == "wss://voice.example.com/twilio/media"
            assert b"evil" not in answer.content

    asyncio.run(run())


def test_a_request_that_is_no_webhook_is_told_what_was_wanted(server: ServerProcess):
    async def run():
        async with world(server) as w:
            answer = await w.webhook("not-a-sid")
            assert answer.status_code == 400
            assert "CallSid" in answer.text and "32 hex digits" in answer.text

    asyncio.run(run())
