"""Checklist D.3: what the carrier may send."""

import asyncio
import base64
import json

import pytest
from tests.conformance.harness import ServerProcess, sid, until, world

from offhook.bridge import Bridge, BridgeSettings
from offhook.vocab import PCMU_8K, CallerAudio, CarrierTraits, Malformed
from offhook.wires.carriers import twilio

SPEECH = bytes(range(1, 161))


def heard_by(w) -> bytearray:
    """Everything the provider is sent from now on."""
    keep = bytearray()
    session = w.fake.sessions[-1]
    listen = session._listen
    session._listen = lambda data, now: (keep.extend(data), listen(data, now))[1]
    return keep


async def ready(w) -> bytearray:
    await until(lambda: w.fake.sessions and w.fake.sessions[-1].peer.updates)
    return heard_by(w)


async def finish(stream) -> None:
    await stream.stop()
    await stream.closed()


@pytest.mark.sid("I01", "I02", "I03", "I09")
def test_the_documented_opening_is_understood_and_nothing_is_sent_before_start(rest_server: ServerProcess):
    async def run():
        async with world(rest_server) as w:
            stream = await w.stream(sid(), begin=False)
            await stream.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
            await until(lambda: w.fake.sessions)
            pong = await stream.ws.ping()
            await pong
            assert stream.got == []
            await stream.begin()
            await until(lambda: stream.of("media"))  # the greeting
            assert {message["streamSid"] for message in stream.got} == {stream.sid}
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("I03")
def test_the_sid_may_stand_inside_start_only(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.stream(sid(), begin=False)
            await stream.begin({"streamSid": ""})
            keep = await ready(w)
            await stream.speak(SPEECH)
            await until(lambda: len(keep) == 160)
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("I04", "I06", "I07", "I08", "I17")
def test_numbers_unknown_events_fields_lengths_and_json_of_any_kind(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.stream(sid())
            keep = await ready(w)
            as_numbers = stream.media(SPEECH, chunk=1, timestamp=20, new="field")
            await stream.send({**as_numbers, "sequenceNumber": 2, "future": {"a": [1]}})
            await stream.send({"event": "weather", "streamSid": stream.sid, "sequenceNumber": "3"})
            await stream.send(stream.media(b"\x55"))
            await stream.send(stream.media(b"\x56" * 4000))
            payload = base64.b64encode(b"\xff\xef\xbe").decode().replace("/", "\\/")
            odd = ' {"media" : {"payload":"%s","track":"inbound"},\n "streamSid":"%s", "event":"me\\u0064ia"} '
            await stream.send(odd % (payload, stream.sid))
            wanted = SPEECH + b"\x55" + b"\x56" * 4000 + b"\xff\xef\xbe"
            await until(lambda: len(keep) == len(wanted))
            assert bytes(keep) == wanted
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("I05")
@pytest.mark.parametrize("odd", [{"sampleRate": 16000}, {"channels": 2}, {"encoding": "audio/l16"}])
def test_another_format_is_refused_by_name(odd):
    leg = twilio.Leg(twilio.CarrierSettings(public_url="https://x.example"))
    given = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1, **odd}

    start = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1", "mediaFormat": given}}
    event = leg.receive(json.dumps(start).encode(), 0.0)
    assert isinstance(event, Malformed) and "mediaFormat" in event.why and "audio/x-mulaw 8000 Hz" in event.why


@pytest.mark.sid("I10")
def test_a_gap_is_survived_and_counted(server: ServerProcess):
    async def run():
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call)
            keep = await ready(w)
            await stream.speak(SPEECH * 2)
            stream.sequence += 3
            stream.chunk += 3
            await stream.speak(SPEECH)
            await until(lambda: len(keep) == 480)
            await finish(stream)
            return call

    call = asyncio.run(run())
    assert server.record(call).end["carrier_wire"]["lost"] == 3


@pytest.mark.sid("I11")
def test_time_comes_from_bytes_not_from_timestamps():
    provider = __import__("offhook.wires.providers.openai", fromlist=["x"])
    traits = provider.traits(provider.SessionSettings(api_key="k"))
    bridge = Bridge(BridgeSettings(), traits, CarrierTraits("t", True, True, False), {})
    leg = twilio.Leg(twilio.CarrierSettings(public_url="https://x.example"))
    leg.receive(b'{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1"}}', 0.0)
    text = base64.b64encode(SPEECH).decode()
    media = json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": text, "timestamp": "999999999"}})
    event = leg.receive(media.encode(), 0.0)
    assert isinstance(event, CallerAudio) and PCMU_8K.ms(event.n_bytes) == 20
    bridge.on(event, 0.0)
    assert bridge.summary()["frames_from_carrier"] == 1


@pytest.mark.sid("I12", "I16")
def test_outbound_tracks_and_foreign_streams_are_not_passed_on(server: ServerProcess):
    async def run():
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call)
            keep = await ready(w)
            await stream.send(stream.media(b"\x01" * 160, track="outbound"))
            await stream.send({**stream.media(b"\x02" * 160), "streamSid": "MZ" + "f" * 32})
            await stream.speak(SPEECH)
            await until(lambda: len(keep) >= 160)
            assert bytes(keep) == SPEECH
            await finish(stream)
            return call

    call = asyncio.run(run())
    record = server.record(call)
    assert record.end["carrier_wire"]["outbound_track"] == 1 and record.end["carrier_wire"]["other_stream"] == 1
    assert any(line.data["field"] == "streamSid" and line.data["by"] == "peer" for line in record.violations())


@pytest.mark.sid("I13")
def test_keys_reach_the_agent(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.stream(sid())
            await ready(w)
            for digit in "5*#":
                await stream.message("dtmf", dtmf={"track": "inbound_track", "digit": digit})
            await until(lambda: len(w.session.told) == 3)
            assert w.session.told == [f"The caller pressed key {digit}." for digit in "5*#"]
            await finish(stream)

    asyncio.run(run())


@pytest.mark.sid("I14")
def test_parameters_may_be_missing_and_are_texts():
    for given, wanted in (({}, {}), ({"customParameters": {"n": 5}}, {"n": "5"})):
        leg = twilio.Leg(twilio.CarrierSettings(public_url="https://x.example"))
        start = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1", **given}}
        event = leg.receive(json.dumps(start).encode(), 0.0)
        assert event.parameters == wanted


@pytest.mark.sid("I15")
def test_broken_messages_are_named_and_the_call_goes_on(server: ServerProcess):
    async def run():
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call)
            keep = await ready(w)
            broken = [
                '{"event":',
                b"\x00\x01",
                "null",
                "[1,2]",
                "{}",
                '{"event":5}',
                '{"event":"media"}',
                '{"event":"mark"}',
            ]
            for message in broken:
                await stream.send(message)
            await stream.send(stream.media(b"", payload="not base64!"))
            await stream.speak(SPEECH)
            await until(lambda: len(keep) >= 160)
            assert bytes(keep) == SPEECH
            await finish(stream)
            return call, len(broken) + 1

    call, n_broken = asyncio.run(run())
    named = [line for line in server.record(call).violations() if line.data["by"] == "peer"]
    assert len(named) == n_broken and all(line.data["wanted"] for line in named)


@pytest.mark.sid("I18")
def test_sizes_are_bounded(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.stream(sid())
            await ready(w)
            with pytest.raises(Exception, match="1009|closed|sent"):
                for _ in range(3):
                    await stream.send("x" * (2 * 1024 * 1024))
                    await asyncio.sleep(0.2)
            assert await stream.closed() == 1009
            await until(lambda: w.fake.open == 0)  # and the provider is not left behind

    asyncio.run(run())
    leg = twilio.Leg(twilio.CarrierSettings(public_url="https://x.example"))

    big = {"a": "x" * 70_000}
    start = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1", "customParameters": big}}
    assert isinstance(leg.receive(json.dumps(start).encode(), 0.0), Malformed)
