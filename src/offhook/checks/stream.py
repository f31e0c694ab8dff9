"""
The media stream (C6): a simulated Twilio plays a scripted call. First against a server process of its own with the
loopback provider, so that nothing else is needed; then, where the configured server runs, through the public URL.

Proves handshake, frames both ways, keys, marks, barge-in, hang-up and what the record says of it all; not the real
network, nor the real provider.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from offhook.checks._check import Ask, Check, Trail
from offhook.checks._http import Unreached
from offhook.checks._server import public_url
from offhook.checks.proxy import echo_line
from offhook.diagnosis.report import judge
from offhook.evidence.files import find
from offhook.loopback.lines import AGENT, audio
from offhook.media.levels import Meter
from offhook.net.client import DialError
from offhook.sims.carrier import TwimlError
from offhook.sims.run_carrier import CallFailed, PhoneCall

__all__ = ["CHECK"]

PUBLIC = "https://check.offhook.example"  # never looked up: the simulated carrier knows the way
BARGE_MS = 200.0
PASSED_ON = ("limits.", "failure.", "record.lines_dir")


async def run(ask_: Ask, trail: Trail) -> str:
    with tempfile.TemporaryDirectory(prefix="offhook-check-") as folder:
        await _own_server(ask_, trail, Path(folder))
    await _through_public(ask_, trail)
    return "a scripted call went through: frames both ways, key, marks, barge-in, hang-up, whole record"


async def _own_server(ask_: Ask, trail: Trail, folder: Path) -> None:
    token = secrets.token_hex(16)
    began = time.perf_counter()
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "offhook",
        "serve",
        "--live",
        "json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(ask_, folder, token),
        cwd=folder,
    )
    assert server.stdout is not None and server.stderr is not None
    try:
        first = await asyncio.wait_for(server.stdout.readline(), 15)
        if not first:
            said = (await server.stderr.read()).decode(errors="replace").strip().splitlines()
            raise trail.fail("server", "; ".join(said[:3])[:300], fix="mend what it says")
        port = json.loads(first)["port"]
        trail.proven("server", "a process of its own, loopback provider", ms=(time.perf_counter() - began) * 1000)
        await _call(trail, port, token, folder)
    finally:
        if server.returncode is None:
            server.terminate()
            await server.communicate()


def _environment(ask_: Ask, folder: Path, token: str) -> dict[str, str]:
    """The user's own limits and lines, and nothing else of theirs: this check needs no other to be right."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
    for name, value in ask_.settings.values.items():
        if name.startswith(PASSED_ON) and value.origin != "default":
            path = ask_.settings.path(name) if name.endswith("_dir") else None
            own["OFFHOOK_" + name.replace(".", "_").upper()] = str(path or value.value)
    return own | {
        "OFFHOOK_PROVIDER_NAME": "loopback",
        "OFFHOOK_AGENT_GREETING": AGENT["greeting"],
        "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC,
        "OFFHOOK_SERVER_HOST": "127.0.0.1",
        "OFFHOOK_SERVER_PORT": "0",
        "OFFHOOK_RECORD_DIR": str(folder),
        "TWILIO_AUTH_TOKEN": token,
    }


async def _call(trail: Trail, port: int, token: str, folder: Path) -> None:
    try:
        call = PhoneCall(f"{PUBLIC}/twilio/voice", auth_token=token, connect_to=("127.0.0.1", port))
        async with call:
            trail.proven("handshake", "signed webhook, document, upgrade, start", ms=call.webhook_ms)
            await _script(trail, call)
            call.say(audio("caller_goodbye"))
            await _wait(lambda: call.closed is not None, 12)
            await call.ended()
    except CallFailed as error:
        raise trail.fail("handshake", f"Twilio would log {error}", fix="report it, with the server's log") from None
    if call.violations:
        said = "; ".join(str(violation) for violation in call.violations[:3])
        trail.broken("contract", said, fix="report it: this is a defect of Offhook", decides="F-049 F-055")
    else:
        trail.proven("contract", f"{len(call.phone.marks_returned)} marks, nothing that Twilio would refuse")
    if call.closed is None:
        trail.broken("hang-up", "the agent said goodbye, the line stayed open", fix="report it", decides="F-149")
    else:
        trail.proven("hang-up", f"asked for by voice; closed with {call.closed[0]}")
    await asyncio.sleep(1.2)  # the record's last second
    report = judge(find(call.call_sid, folder))
    if report.verdict == "healthy":
        trail.proven("record", f"healthy: {report.because}"[:160])
    else:
        trail.broken(
            "record", f"{report.verdict}: {report.because}"[:300], fix="`offhook explain` on a real call tells more"
        )


async def _script(trail: Trail, call: PhoneCall) -> None:
    await _wait(lambda: len(call.phone.audio()) > 8000, 6)
    _level(trail, "greeting", call.phone.audio())
    await _wait(lambda: call.phone.unplayed_ms == 0, 6)
    heard = len(call.phone.audio())
    call.say(audio("caller_services"))
    answered = await _wait(lambda: len(call.phone.audio()) > heard + 16000, 10)
    if not answered:
        raise trail.fail(
            "answer", "a spoken question got no answer", fix="report it, with the server's log", decides="F-102"
        )
    trail.proven("answer", "a spoken question was understood and answered aloud")
    clears, began = len(call.phone.clears), time.monotonic()
    call.say(audio("caller_price"))
    cleared = await _wait(lambda: len(call.phone.clears) > clears, 3)
    ms = (time.monotonic() - began) * 1000
    if not cleared:
        trail.broken("barge-in", "the caller spoke, the agent went on", fix="report it", decides="F-077")
    else:  # the receptionist needs some frames to be sure that somebody speaks; the bridge itself needs none
        trail.proven("barge-in", f"playback was cleared {ms:.0f} ms after the caller began", ms=ms)
    await _wait(lambda: not call.speaking and call.phone.unplayed_ms == 0, 8)
    heard = len(call.phone.audio())
    call.press("2")
    if await _wait(lambda: len(call.phone.audio()) > heard + 4000, 6):
        trail.proven("key", "a key was answered")
    else:
        trail.broken("key", "a key got no answer", fix="report it")
    await _wait(lambda: call.phone.unplayed_ms == 0, 6)


def _level(trail: Trail, name: str, audio_: bytes) -> None:
    import base64

    meter = Meter()
    for at in range(0, len(audio_) - 160, 160):
        meter.look(base64.b64encode(audio_[at : at + 160]))
    judged = meter.judge()
    if judged == "ok":
        trail.proven(name, f"{len(audio_) / 8000:.1f} s of audible PCMU")
    else:
        trail.broken(name, f"what came is {judged}", fix="report it", decides="F-116 F-125")


async def _wait(wanted: object, seconds: float) -> bool:
    assert callable(wanted)
    until = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True


async def _through_public(ask_: Ask, trail: Trail) -> None:
    """Handshake and frames through the public URL, as an echo: no call, no provider, no bill."""
    try:
        line = await echo_line(ask_, public_url(ask_.settings))
        await line.open()
    except (Unreached, TwimlError, DialError) as error:
        trail.unproven(
            "public", f"not reached: {error}"[:200], fix="`offhook check webhook` and `offhook check proxy` say why"
        )
        return
    line.start()
    await line.speak(audio("caller_hours")[:8000])
    line.send(line.peer.dtmf("5"))
    came = await line.until(lambda line: any(m.get("event") == "mark" for _, m in line.came), 3)
    n = len(line.audio())
    if came and n >= 7840:
        trail.proven("public", f"through {public_url(ask_.settings)}: 1 s of speech and a key came back")
    else:
        trail.broken(
            "public",
            f"{n // 8} of 1000 ms came back, the key {'too' if came else 'did not'}",
            decides="F-060",
            fix="`offhook check proxy` looks at what stands between",
        )
    await line.hang_up()


CHECK = Check(
    name="stream",
    boundary="carrier-stream",
    proves="a scripted call on a server of its own with the loopback provider; the stream through the public URL",
    cannot="the real network, the real provider",
    run=run,
    timeout_s=120,  # some thirty where the machine is its own
)
