"""
A simulated provider, the pure part: a voice detector on what really arrives, and a script of what it answers.

Works on any provider wire's ``Peer``. The detector decodes the agreed format, so that audio in the wrong one is
heard as what it is: noise, or nothing. Faults can be dialled to happen later. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from offhook.media import g711
from offhook.wires._wire import Out, PeerClose, Refusal
from offhook.wires.providers import _openai_peer, _xai_peer, loopback

__all__ = ["FAULTS", "PEERS", "Answer", "EnergyVad", "Fault", "SimProvider", "faults_of", "parse_fault", "tone"]

PEERS: Mapping[str, Any] = {"openai": _openai_peer.Peer, "xai": _xai_peer.Peer, "loopback": loopback.Peer}
FRAME_MS = 20
ATTACK_MS = 60  # speech is what lasts that long

# What can go wrong, as a user dials it. Which wire can play which, ``faults_of`` says; the last two need no wire.
FAULTS: Mapping[str, str] = {
    "unauthorized": "the upgrade is refused: the key",
    "forbidden": "the upgrade is refused: the account",
    "too-many": "the upgrade is refused: too many sessions",
    "refuse-dead-model": "the upgrade is refused: the model (else another one answers in silence)",
    "bare-url-old-model": "a URL without a model gets the oldest one",
    "no-greeting": "the first message never comes",
    "conversation-first": "greets as the servers of the first months did",
    "no-session-updated": "the session is never confirmed",
    "reject-session": "the session settings are refused",
    "ignore-formats": "the audio formats are not applied: PCM16 at 24 kHz comes back",
    "beta-events": "events have the names of the retired beta shape",
    "no-start-ms": "the start of speech has no time",
    "malformed-json": "a message that is no JSON before the audio",
    "unknown-events": "an event of a type nobody knows",
    "digital-silence": "audio of the right length and no sound",
    "fail-responses": "responses end as failed, without audio",
    "stop-answering": "speech is noticed and never answered",
    "late-deltas": "audio of a cancelled response still comes",
    "die-mid-call": "TCP ends in the middle of a response",
    "session-expired": "the session ends by its age after five seconds",
    "drop": "TCP ends (drop@30s)",
    "close": "the WebSocket is closed with 1011 (close@30s)",
}
_ENDS = {"drop": PeerClose(None), "close": PeerClose(1011, "internal error")}


def faults_of(provider: str) -> tuple[str, ...]:
    """The faults that this provider's simulation can play."""
    known = {"openai": _openai_peer.FAULTS, "xai": _xai_peer.FAULTS}.get(provider, frozenset())
    return tuple(name for name in FAULTS if name in known or name in _ENDS)


class Fault(Struct, frozen=True):
    """One fault and when it begins: at once, with the nth response, or so many seconds after the connection."""

    name: str
    response: int | None = None
    after_s: float | None = None


def parse_fault(text: str, provider: str) -> Fault:
    """``name``, ``name@3`` (from the third response on) or ``name@30s``. Raises ValueError that says what there is."""
    name, _, when = text.partition("@")
    known = faults_of(provider)
    if name not in known:
        raise ValueError(f"fault {name!r}: {provider} has {', '.join(known)}")
    if name in _ENDS and not when:
        raise ValueError(f"fault {name!r}: say when, as in {name}@30s or {name}@2 (with the second response)")
    if not when and "@" not in text:
        return Fault(name)
    seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)s", when)
    if seconds:
        return Fault(name, after_s=float(seconds[1]))
    if re.fullmatch(r"[1-9]\d{0,5}", when):
        return Fault(name, response=int(when))
    raise ValueError(f"fault {text!r}: after @ stands the number of a response, or seconds as in 30s")


def tone(ms: int, hz: float = 440.0, level_dbfs: float = -20.0) -> bytes:
    """A tone as PCMU: an answer that can be told from others by its pitch."""
    n = np.arange(ms * 8)
    samples = np.sin(2 * math.pi * hz * n / 8000) * 32767 * math.sqrt(2) * 10 ** (level_dbfs / 20)
    return g711.encode(np.clip(samples, -32768, 32767).astype(np.int16))


class Answer(Struct, frozen=True):
    """One scripted response."""

    audio: bytes = b""  # PCMU; empty: a short tone
    transcript: str = "ok"
    tool: str | None = None  # called after the audio, or instead of it when there is none
    arguments: str = "{}"
    echo: bool = False  # says what the caller said


class EnergyVad:
    """
    Speech by loudness: begins after 60 ms above the threshold, ends after ``silence_ms`` below.

    ``said`` is the turn of the caller as PCMU, as long as nobody takes it.
    """

    def __init__(self, threshold_dbfs: float = -38.0, silence_ms: int = 300, prefix_ms: int = 0) -> None:
        self.silence_ms = silence_ms
        self.prefix_ms = prefix_ms  # of audio before the speech that count as its beginning
        self.speaking = False
        self.at_ms = 0
        self.said = bytearray()
        self._threshold = 32768 * 10 ** (threshold_dbfs / 20)
        self._buffer = bytearray()
        self._format: tuple[str, int] = ("", 0)
        self._loud_ms = 0
        self._quiet_ms = 0

    def push(self, audio: bytes, given: Mapping[str, Any]) -> list[tuple[str, int]]:
        """``("started", ms)`` and ``("stopped", ms)``, on the clock of the audio received."""
        format_ = (str(given["type"]), int(given.get("rate") or (8000 if given["type"] == "audio/pcmu" else 24000)))
        if format_ != self._format:  # a rest in the old format means nothing in the new one
            self._format = format_
            self._buffer.clear()
        self._buffer += audio
        pcmu = format_[0] == "audio/pcmu"
        step = FRAME_MS * format_[1] // 1000 * (1 if pcmu else 2)
        n = len(self._buffer) // step
        whole = bytes(self._buffer[: n * step])
        del self._buffer[: n * step]
        samples = g711.decode(whole) if pcmu else np.frombuffer(whole, dtype="<i2")
        found = []
        for frame in samples.reshape(n, -1) if n else ():
            self.at_ms += FRAME_MS
            happened = self._frame(frame)
            if happened is not None:
                found.append(happened)
        return found

    def _frame(self, frame: NDArray[np.int16]) -> tuple[str, int] | None:
        if self.speaking or self._loud_ms:
            self._keep(frame)
        if float(np.sqrt(np.mean(frame.astype(np.float64) ** 2))) >= self._threshold:
            if not self.speaking and not self._loud_ms:
                self.said.clear()
                self._keep(frame)
            self._loud_ms += FRAME_MS
            self._quiet_ms = 0
            if not self.speaking and self._loud_ms >= ATTACK_MS:
                self.speaking = True
                return ("started", max(0, self.at_ms - ATTACK_MS - self.prefix_ms))
            return None
        self._quiet_ms += FRAME_MS
        if not self.speaking:
            self._loud_ms = 0
        elif self._quiet_ms >= self.silence_ms:
            self.speaking = False
            self._loud_ms = 0
            return ("stopped", self.at_ms)
        return None

    def _keep(self, frame: NDArray[np.int16]) -> None:
        at = np.linspace(0, len(frame) - 1, FRAME_MS * 8)
        self.said += g711.encode(np.interp(at, np.arange(len(frame)), frame).astype(np.int16))


class SimProvider:
    """
    One scripted session on top of a wire's Peer.

    Answers every turn of the caller with the next of ``script`` (the last one again when it runs out), the first
    request for a response with ``greeting`` and later ones with ``reply``. ``think_s`` passes before each answer.
    ``faults`` are names of FAULTS, with ``@`` and when they begin; other ``knobs`` go to the Peer.
    """

    def __init__(
        self,
        name: str,
        *,
        script: tuple[Answer, ...] = (Answer(audio=b"", transcript="ok"),),
        greeting: Answer | None = None,
        reply: Answer | None = None,
        faults: Iterable[str] = (),
        think_s: float = 0.0,
        **knobs: Any,
    ) -> None:
        self._later = [parse_fault(text, name) for text in faults]
        self._faults = {fault.name for fault in self._later if fault.response is None and fault.after_s is None}
        self._later = [fault for fault in self._later if fault.name not in self._faults]
        if faults_of(name) != tuple(_ENDS):
            knobs["faults"] = self._faults  # the Peer looks into it whenever it matters
        self.peer: Any = PEERS[name](**knobs)
        self.turns = 0
        self.responses = 0
        self._script = script
        self._greeting = greeting or Answer(audio=tone(600, 330), transcript="Hello.")
        self._reply = reply or self._greeting
        self._think_s = think_s
        self._vad = EnergyVad()
        self._pending: list[tuple[float, Answer]] = []  # answers that are being thought about
        self._opened_at: float | None = None
        self._ended = False

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        refusal: Refusal | None = self.peer.upgrade(path_and_query, headers)
        return refusal

    def opened(self, now: float) -> list[Out]:
        self._opened_at = now
        out: list[Out] = self.peer.opened(now)
        return out

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers to a message, and to what was said in it."""
        if self._ended:
            return []
        out: list[Out] = self.peer.receive(data, now, binary=binary)
        if self.peer.heard:
            heard = bytes(self.peer.heard)
            self.peer.heard.clear()
            out += self._listen(heard, now)
        return out + self._asked(now)

    def _listen(self, heard: bytes, now: float) -> list[Out]:
        turn = self._turn_detection()
        if turn is None:
            return []  # the client commits
        self._vad.silence_ms = int(turn.get("silence_duration_ms") or self._vad.silence_ms)
        self._vad.prefix_ms = int(turn.get("prefix_padding_ms") or 0)
        out: list[Out] = []
        for happened, at_ms in self._vad.push(heard, getattr(self.peer, "format_in", {"type": "audio/pcmu"})):
            if happened == "started":
                self._pending.clear()
                out += self.peer.user_started(at_ms, now)
                continue
            answer = self._script[min(self.turns, len(self._script) - 1)]
            self.turns += 1
            out += self.peer.user_stopped(at_ms, f"turn {self.turns}", now)
            out += self._answer(answer, now)
        return out

    def _turn_detection(self) -> Mapping[str, Any] | None:
        """What the session has set; {} where the wire has no such setting."""
        session = getattr(self.peer, "session", None)
        if not session:
            return {}
        where = session if "turn_detection" in session else session["audio"]["input"]
        turn: Mapping[str, Any] | None = where.get("turn_detection", {})
        return turn

    def _asked(self, now: float) -> list[Out]:
        """What the client asked for by itself: a text to be said word for word, or a response."""
        if self.peer.response is not None or self._pending:
            return []
        forced: list[str] = getattr(self.peer, "forced", [])
        answer = self._reply if self.responses else self._greeting
        if forced:
            said = " ".join(forced)
            forced.clear()
            return self._answer(Answer(audio=answer.audio, transcript=said), now)
        if not self.peer.asked:
            return []
        self.peer.asked.clear()
        return self._answer(answer, now)

    def _answer(self, answer: Answer, now: float) -> list[Out]:
        if self._think_s:
            self._pending.append((now + self._think_s, answer))
            return []
        return self._give(answer, now)

    def _give(self, answer: Answer, now: float) -> list[Out]:
        self.responses += 1
        begun = self._begin_faults([fault for fault in self._later if fault.response == self.responses])
        if begun:
            return begun
        if answer.tool is not None and not answer.audio and hasattr(self.peer, "call_tool"):
            out: list[Out] = self.peer.call_tool(answer.tool, answer.arguments, now)
            return out
        audio = bytes(self._vad.said) if answer.echo else answer.audio
        spoken: list[Out] = self.peer.speak(audio or tone(400), answer.transcript, now, answer.tool)
        return spoken

    def _begin_faults(self, begun: list[Fault]) -> list[Out]:
        """Faults that are to begin now; the end, if that is one of them."""
        for fault in begun:
            self._later.remove(fault)
            if fault.name in _ENDS:
                self._ended = True
                return [_ENDS[fault.name]]
            self._faults.add(fault.name)
        return []

    def deadline(self) -> float | None:
        """When something is due: of the peer, an answer, or a fault."""
        if self._ended:
            return None
        due: list[float | None] = [self.peer.deadline(), *[at for at, _ in self._pending]]
        if self._opened_at is not None:
            due += [self._opened_at + fault.after_s for fault in self._later if fault.after_s is not None]
        return min((at for at in due if at is not None), default=None)

    def tick(self, now: float) -> list[Out]:
        """What is due."""
        if self._ended:
            return []
        if self._opened_at is not None:
            ripe = [f for f in self._later if f.after_s is not None and self._opened_at + f.after_s <= now]
            end = self._begin_faults(ripe)
            if end:
                return end
        out: list[Out] = self.peer.tick(now)
        thought = [answer for at, answer in self._pending if at <= now]
        self._pending = [(at, answer) for at, answer in self._pending if at > now]
        for answer in thought:
            out += self._give(answer, now)
        return out + self._asked(now)
