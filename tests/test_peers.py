"""Independent programs as our peers: the ``streamdouble`` caller, and an ``openai-agents`` session at our fake."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conformance.harness import ServerProcess, twiml_parameters, world

from offhook.loopback.lines import audio
from offhook.sims.provider import Answer, tone
from offhook.sims.run_provider import FakeProvider


def wav_of(pcmu: bytes, path: Path) -> None:
    import wave

    from offhook.media import g711

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(g711.decode(pcmu).tobytes())


def test_streamdouble_calls_our_server_and_finds_no_violation(tmp_path):
    """It is no webhook client and signs nothing, so the token is fetched for it and signatures are off on loopback."""
    process = ServerProcess(
        tmp_path / "server", env={"OFFHOOK_CARRIER_AUTH": "none", "OFFHOOK_SERVER_PUBLIC_URL": ""},
    )  # fmt: skip
    # it sends its file and then nothing, so the quiet that ends a turn is part of the file
    wav_of(audio("caller_hours") + b"\xff\x7f" * 80 * 40, tmp_path / "caller.wav")
    call = "CA" + "d" * 32

    async def run():
        async with world(process, script=(Answer(tone(1500), "an answer"),)) as w:
            answer = await w.http.post(
                f"http://127.0.0.1:{process.port}/twilio/voice", data=w.form(call), headers={"Host": "127.0.0.1"}
            )
            token = twiml_parameters(answer.content)["token"]
            # it has no webhook leg, so it is told the id of the call that its token is bound to
            start = (
                "import sys, streamdouble.protocol as p; real = p._sid; "
                f"p._sid = lambda kind: {call!r} if kind == 'CA' else real(kind); "
                "from streamdouble.cli import main; sys.exit(main())"
            )
            program = [sys.executable, "-c", start, "call", f"ws://127.0.0.1:{process.port}/twilio/media"]
            command = [*program, "--audio", str(tmp_path / "caller.wav"), "--param", f"token={token}", "--json",
                       "--out", str(tmp_path / "reply.wav")]  # fmt: skip
            ran = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = await ran.communicate()
            return ran.returncode, out.decode(), err.decode()

    try:
        code, out, err = asyncio.run(run())
        assert code == 0, out + err
        data = json.loads(out[out.index("{") :])
        assert not data.get("violations"), data
    finally:
        process.stop()


@pytest.mark.filterwarnings("ignore")  # a third party's own
def test_an_openai_agents_session_runs_against_our_fake():
    from agents.realtime import RealtimeAgent, RealtimeRunner

    async def run():
        async with FakeProvider("openai", greeting=Answer(tone(300), "Hello.")) as fake:
            runner = RealtimeRunner(RealtimeAgent(name="desk", instructions="Be kind."))
            url = fake.url + "?model=gpt-realtime"
            session = await runner.run(model_config={"url": url, "api_key": "sk-test-000"})
            kinds = []
            async with session:
                await session.send_message("hello")
                async with asyncio.timeout(40):
                    async for event in session:
                        kinds.append(event.type)
                        if event.type == "audio_end":
                            break
            return kinds, fake.sessions[-1].peer

    kinds, peer = asyncio.run(run())
    assert "audio" in kinds and peer.updates >= 1 and peer.told == ["hello"]
