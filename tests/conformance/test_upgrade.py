"""Checklist D.2 and D.7: the upgrade, and what is let in."""

import asyncio
import hashlib
import json
from pathlib import Path

import httpx2
import pytest
import websockets
from tests.conformance.harness import PATIENCE_S, PUBLIC, TOKEN, ServerProcess, sid, until, world

from offhook.net.server import Server
from offhook.wires.carriers import _twilio_webhook, twilio
from offhook.wires.carriers.twilio import sign

VECTORS = json.loads((Path(__file__).parent.parent.parent / "conformance/twilio/signatures.json").read_text())


async def refused(w, path="/twilio/media", **options) -> tuple[int, str]:
    with pytest.raises(websockets.InvalidStatus) as info:
        await w.connect(path, **options)
    return info.value.response.status_code, (info.value.response.body or b"").decode()


@pytest.mark.sid("H01", "H02", "H04", "H05", "H06", "H08")
def test_the_advertised_path_is_upgraded_with_nothing_negotiated(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.connect(headers={"x-Unknown-HEADER": "1"})
            response = stream.ws.response
            assert response is not None and response.status_code == 101
            assert "Sec-WebSocket-Protocol" not in response.headers
            assert "Sec-WebSocket-Extensions" not in response.headers
            assert "Origin" not in stream.ws.request.headers
            await stream.close()
            for wrong in ("/twilio/media/", "/other"):  # another path than the TwiML says: refused, never redirected
                status, body = await refused(w, wrong)
                assert status == 404 and wrong in body

    asyncio.run(run())


@pytest.mark.sid("H03", "L01")
def test_the_upgrade_does_not_wait_for_a_slow_provider(server: ServerProcess):
    async def run():
        async with world(server, faults=["delay-greeting@3s"]) as w:
            call = sid()
            stream = await w.stream(call, begin=False)
            took = server.elapsed()
            await stream.begin()
            await stream.speak(b"\x7f" * 160 * 20)
            pong = await stream.ws.ping()
            await asyncio.wait_for(pong, PATIENCE_S)  # read at all times
            assert took() < 1.0
            await stream.stop()
            await stream.closed()

    asyncio.run(run())


@pytest.mark.sid("H09")
@pytest.mark.parametrize("url", ["wss://voice.example.com/twilio/media", "wss://voice.example.com:443/twilio/media"])
def test_signatures_with_and_without_the_port_are_taken(server: ServerProcess, url: str):
    async def run():
        async with world(server) as w:
            stream = await w.connect(signature=sign(TOKEN, url))
            await stream.close()

    asyncio.run(run())


@pytest.mark.sid("H10", "H11")
def test_a_wrong_and_a_missing_signature_are_refused_with_the_url_they_were_checked_for(server: ServerProcess):
    async def run():
        async with world(server) as w:
            status, body = await refused(w, signature="wrong")
            assert status == 403 and "wss://voice.example.com/twilio/media" in body
            status, body = await refused(w, signature=None)
            assert status == 403 and "X-Twilio-Signature" in body

    asyncio.run(run())


@pytest.mark.sid("H12")
def test_shared_key_signatures_are_sha256_and_unknown_algorithms_are_refused():
    settings = twilio.CarrierSettings(public_url=PUBLIC, auth_token=TOKEN, shared_keys={"k1": "shared-secret"})
    url = "wss://voice.example.com/twilio/media"

    def checked(signature: str, announced: str | None) -> twilio.SignatureResult:
        headers = [("x-twilio-signature", signature)]
        if announced:
            headers.append(("X-Twilio-Webhooks-Signature-Settings", announced))
        return twilio.check_signature(settings, "GET", "/twilio/media", headers, b"", upgrade=True)

    good = sign("shared-secret", url, algorithm="sha256")
    assert checked(good, "key=k1,algorithm=HMAC_SHA256").ok
    assert not checked(sign(TOKEN, url), "key=k1,algorithm=HMAC_SHA256").ok
    assert "unknown signature algorithm" in checked(good, "key=k1,algorithm=HMAC_MD5").why
    assert "k2" in checked(good, "key=k2,algorithm=HMAC_SHA256").why
    assert checked(sign(TOKEN, url), "key=k1").ok  # no algorithm: Auth Token and SHA-1


@pytest.mark.sid("H13")
def test_a_plain_get_on_the_stream_path_is_told_what_it_is(server: ServerProcess):
    async def run():
        async with world(server) as w:
            answer = await w.http.get(f"http://127.0.0.1:{server.port}/twilio/media")
            assert answer.status_code == 426 and "WebSocket" in answer.text

    asyncio.run(run())


@pytest.mark.sid("H14", "L17")
def test_two_streams_have_their_own_sessions_and_their_own_bytes(server: ServerProcess):
    async def run():
        async with world(server) as w:
            streams = [await w.stream(sid()) for _ in range(3)]
            await until(lambda: len(w.fake.sessions) == 3 and all(s.peer.updates for s in w.fake.sessions))
            said = [bytes([0x7F - n, 0xFE]) * 800 for n in range(3)]
            heard = {}
            for session in w.fake.sessions:  # the detector takes the bytes away; keep them
                keep = bytearray()
                heard[id(session)] = keep
                listen = session._listen
                session._listen = lambda data, now, keep=keep, listen=listen: (keep.extend(data), listen(data, now))[1]
            await asyncio.gather(*(stream.speak(audio) for stream, audio in zip(streams, said, strict=True)))
            await until(lambda: all(len(keep) == 1600 for keep in heard.values()))
            assert sorted(bytes(keep) for keep in heard.values()) == sorted(said)
            for stream in streams:
                await stream.stop()
                await stream.closed()

    asyncio.run(run())


@pytest.mark.sid("H07")
def test_where_we_terminate_tls_the_whole_chain_is_served(tmp_path):
    import ssl
    import subprocess

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
            "-days", "2")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=localhost")
    (tmp_path / "ext").write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", "cert.pem")  # fmt: skip
    (tmp_path / "chain.pem").write_bytes((tmp_path / "cert.pem").read_bytes() + (tmp_path / "ca.pem").read_bytes())

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def run():
        server = Server(app, lambda request: None, tls=(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")))
        await server.start()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with httpx2.AsyncClient(verify=context) as client:
            assert (await client.get(f"https://localhost:{server.port}/")).text == "ok"
        await server.stop()

    asyncio.run(run())


@pytest.mark.sid("S01")
def test_every_parameter_counts_blank_ones_too_and_comparison_takes_constant_time(monkeypatch):
    settings = twilio.CarrierSettings(public_url=PUBLIC, auth_token=TOKEN)
    form = [("CallSid", "CA1"), ("Blank", ""), ("New", "x")]
    compared = []
    real = _twilio_webhook.hmac.compare_digest
    monkeypatch.setattr(_twilio_webhook.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))

    def ok(body: bytes, signature: str) -> bool:
        headers = [("X-Twilio-Signature", signature)]
        return twilio.check_signature(settings, "POST", "/twilio/voice", headers, body).ok

    good = sign(TOKEN, PUBLIC + "/twilio/voice", form)
    assert ok(b"CallSid=CA1&Blank=&New=x", good)
    assert not ok(b"CallSid=CA1&New=x", good)
    assert not ok(b"CallSid=CA1&Blank=&New=x&More=1", good)
    tried = len(_twilio_webhook._candidates(settings, "/twilio/voice", False))
    assert len(compared) == 3 * tried  # all candidates, found or not


@pytest.mark.sid("S03")
def test_the_token_is_needed_bound_to_its_call_and_spent_once(server: ServerProcess):
    async def run():
        async with world(server) as w:
            stream = await w.stream(sid(), parameters={"token": ""})
            assert await stream.closed() == 1008 and "no token" in stream.ws.close_reason
            first = await w.stream(sid())
            other = await w.connect()
            other.sid, other.call_sid, other.parameters = "MZ" + "9" * 32, first.call_sid, first.parameters
            await other.begin()
            assert await other.closed() == 1008 and "spent" in other.ws.close_reason
            foreign = await w.connect()
            foreign.sid, foreign.call_sid, foreign.parameters = "MZ" + "8" * 32, sid(), first.parameters
            await foreign.begin()
            assert await foreign.closed() == 1008 and "another call" in foreign.ws.close_reason
            await first.stop()
            await first.closed()

    asyncio.run(run())


@pytest.mark.sid("S04")
def test_no_secret_no_full_number_and_no_audio_reaches_any_sink(server: ServerProcess):
    async def run():
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call, parameters={"api_secret": "planted-secret-value"})
            token = stream.parameters["token"]
            speech = b"\x12\x34\x56\x78" * 400
            await stream.speak(speech)
            await until(lambda: w.fake.sessions and w.fake.sessions[-1].peer.updates)
            await stream.stop()
            await stream.closed()
            server.record(call)
            return token

    token = asyncio.run(run())
    written = server.stderr() + json.dumps(server.told)
    written += "".join(path.read_text() for path in (server.folder / "calls").glob("*.jsonl"))
    secrets = (TOKEN, "sk-test-key-000000000000000000", token, "planted-secret-value", "+15550100001", "15550100001")
    for planted in (*secrets, "EjRWeBI0Vng"):
        assert planted not in written, planted


@pytest.mark.sid("S05")
def test_a_socket_without_start_is_closed_after_seconds(tmp_path):
    async def run():
        process = ServerProcess(tmp_path, env={"OFFHOOK_LIMITS_START_TIMEOUT_S": "0.3"})
        try:
            async with world(process) as w:
                stream = await w.connect()
                assert await stream.closed(3) == 1008 and "no start" in stream.ws.close_reason
        finally:
            process.stop()

    asyncio.run(run())


@pytest.mark.sid("S06")
@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["url"])
def test_the_signature_vectors_are_met(vector):
    form = [(name, value) for name, values in vector["form"].items() for value in values]
    assert sign(VECTORS["key"], vector["url"], form) == vector["sha1"]
    assert sign(VECTORS["key"], vector["url"], form, "sha256") == vector["sha256"]


@pytest.mark.sid("S07")
def test_a_json_body_is_checked_by_its_hash():
    settings = twilio.CarrierSettings(public_url=PUBLIC, auth_token=TOKEN)
    body = b'{"a":1}'
    path = "/twilio/voice?bodySHA256=" + hashlib.sha256(body).hexdigest()
    headers = [("X-Twilio-Signature", sign(TOKEN, PUBLIC + path))]
    assert twilio.check_signature(settings, "POST", path, headers, body).ok
    assert "bodySHA256" in twilio.check_signature(settings, "POST", path, headers, b'{"a":2}').why
