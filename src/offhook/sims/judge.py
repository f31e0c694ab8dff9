"""
The verdict on a client of a simulated provider: what it did wrong, and what was seen of it that was right.

Pure: told what the client sent and what the strict peer answers to that, before any dialled fault, with ``now``.
Knows the wires' own judges and no socket.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from offhook.media.levels import Meter
from offhook.wires import _judge
from offhook.wires._wire import Out, PeerClose, Refusal, Violation
from offhook.wires.providers import _openai_judge, _xai_judge, loopback, openai, xai

__all__ = ["ClientJudge", "Verdict"]

_WIRES: Mapping[str, Any] = {"openai": openai, "xai": xai, "loopback": loopback}
_JUDGES: Mapping[str, Any] = {"openai": _openai_judge, "xai": _xai_judge}
_OURS = "offhook: the loopback wire is its own specification"
# Fields that change the call when a provider drops them in silence. livekit-plugins-xai 1.8.9 sends others as well
# (type, model, output_modalities), which is no harm.
_MATTERS = re.compile(r"voice|format|turn_detection|instructions|tools")
ENOUGH_S = 2.0
MAX_KEPT = 100


class Verdict(Struct, frozen=True):
    """What a session was worth."""

    state: Literal["right", "wrong", "not proven"]
    because: str
    wrongs: tuple[Violation, ...]
    notes: tuple[Violation, ...]  # worth knowing, and no fault of the client's
    figures: dict[str, Any]


class ClientJudge:
    """Judges one session. What it returns is new: each violation once a session, by message, field and code."""

    def __init__(self, provider: str) -> None:
        self.wrongs: list[Violation] = []
        self.notes: list[Violation] = []
        self.races = 0  # errors that hurt nobody: both sides spoke at once
        self._wire = provider
        self._judge = _JUDGES.get(provider)
        self._seen: set[tuple[str, str | None, str | None]] = set()
        self._asked: dict[str, Any] | None = None
        self._model_asked: str | None = None
        self._calls: set[str] = set()  # tool calls that wait for an answer
        self._opened_at: float | None = None
        self._first_audio: float | None = None
        self._last_audio: float | None = None
        self._audio_bytes = 0
        self._meter = Meter()
        self._n = {"messages": 0, "updates": 0, "answers": 0, "turns": 0}
        self._formats: dict[str, Any] = {}  # as the provider applied them

    # ---------------------------------------------------------------------------------- the handshake

    def request(self, path_qs: str, headers: Mapping[str, str], refusal: Refusal | None) -> list[Violation]:
        """What is wrong with the upgrade."""
        path, _, query = path_qs.partition("?")
        self._model_asked = parse_qs(query).get("model", [None])[0]
        if refusal is None:
            return []
        given = {name.lower(): value for name, value in headers.items()}
        field, got, wanted = _of_refusal(refusal.why, path, self._model_asked, given)
        source = getattr(self._judge, "SOURCE", _OURS)
        code = str(refusal.status)
        return self._new([Violation(self._wire, "upgrade", field, got, wanted, source, "us", code=code)])

    def opened(self, out: list[Out], now: float) -> list[Violation]:
        self._opened_at = now
        found = self._answered(None, out)
        return found + self._replaced(out)

    def _replaced(self, out: list[Out]) -> list[Violation]:
        """Another model than was asked for answers, and nobody says so."""
        for event in _events(out, b'"session.created"'):
            got = (event.get("session") or {}).get("model")
            want = self._model_asked
            if want and isinstance(got, str) and not any(_judge.differences({"model": want}, {"model": got})):
                continue
            if want and isinstance(got, str) and not _is_alias(want):
                models = _WIRES[self._wire].MODELS
                wanted = f"one of {', '.join(models.value)}: {got} answers in its place, without a word"
                return self._new([Violation(self._wire, "upgrade", "?model=", want, wanted, models.source, "us")])
        return []

    # -------------------------------------------------------------------------------------- the session

    def received(self, data: bytes, binary: bool, out: list[Out], now: float) -> list[Violation]:
        """What is wrong with a message of the client, by its shape and by what it was answered."""
        self._n["messages"] += 1
        message = None if binary else _decoded(data)
        if isinstance(message, dict):
            self._note(message, now)
        elif binary and self._wire == "xai":
            self._audio(data, now)
        answered = self._answered(message, out)
        if answered:
            return answered
        shape = self._judge.judge(data, binary=binary) if self._judge is not None else []
        return self._new(shape) + self._echoed(out)

    def _note(self, message: dict[str, Any], now: float) -> None:
        kind = message.get("type")
        if kind == "input_audio_buffer.append" and isinstance(message.get("audio"), str):
            try:
                self._audio(binascii.a2b_base64(message["audio"]), now)
            except (binascii.Error, ValueError):
                return  # the peer has refused it
        elif kind == "session.update" and isinstance(message.get("session"), dict):
            self._asked = message["session"]
            self._n["updates"] += 1
        elif kind == "conversation.item.create":
            item = message.get("item")
            if isinstance(item, dict) and item.get("type") == "function_call_output":
                self._calls.discard(str(item.get("call_id")))

    def _audio(self, audio: bytes, now: float) -> None:
        if self._first_audio is None:
            self._first_audio = now
        self._last_audio = now
        self._audio_bytes += len(audio)
        self._meter.add(binascii.b2a_base64(audio[:160], newline=False), len(audio))

    def _answered(self, message: Any, out: list[Out]) -> list[Violation]:
        found = []
        for event in _events(out, b'"error"'):
            if event.get("type") != "error" or not isinstance(event.get("error"), dict):
                continue
            if self._judge is not None:
                found.append(self._judge.refused(message, event["error"]))
            else:
                found.append(_judge.refused(self._wire, message, event["error"], source=_OURS))
        for end in out:
            if isinstance(end, PeerClose) and not found and message is not None and end.code not in (None, 1000, 1011):
                wanted = end.reason or "another message"
                found.append(Violation(self._wire, str(message.get("type")), None, "this", wanted, _OURS, "us"))
        return self._new(found)

    def _echoed(self, out: list[Out]) -> list[Violation]:
        """Fields of the session that the provider dropped in silence."""
        found = []
        for event in _events(out, b'"session.updated"'):
            self._formats = (event.get("session") or {}).get("audio") or {}
            if self._asked is None:
                continue
            moved = getattr(self._judge, "MOVED", {})
            for gone in _judge.differences(self._asked, event.get("session") or {}):
                if gone.field in ("type", "object", "id"):
                    continue
                if gone.field == "model" and isinstance(gone.asked, str) and _is_alias(gone.asked):
                    continue  # answered by the name that it stands for today
                where = next((to for old, to in moved.items() if _under(gone.field, old)), None)
                got = "not applied" if gone.got is None else f"applied as {gone.got}"
                wanted = where or "a field that this provider has; it says nothing about others"
                source = getattr(self._judge, "SOURCE", _OURS)
                field = f"session.{gone.field}"
                harmless = not _MATTERS.search(gone.field) and gone.got is None
                found.append(
                    Violation(self._wire, "session.update", field, f"{gone.asked!r}, {got}", wanted, source, "us",
                              accepted=harmless)
                )  # fmt: skip
        self.notes += [violation for violation in found if violation.accepted]
        return self._new([violation for violation in found if not violation.accepted])

    def sent(self, message: object, now: float) -> None:
        """What the provider said: the answers that a client owes."""
        if not isinstance(message, bytes):
            return
        head = message[:80]
        if b'"response.function_call_arguments.done"' in head:
            event = _decoded(message)
            if isinstance(event, dict):
                self._calls.add(str(event.get("call_id")))
        elif b'"response.created"' in head:
            self._n["answers"] += 1
        elif b'"input_audio_buffer.speech_stopped"' in head:
            self._n["turns"] += 1

    # ------------------------------------------------------------------------------------------ verdict

    def verdict(self, now: float) -> Verdict:
        """The verdict when the session is over."""
        figures = self._figures(now)
        wrongs = [*self.wrongs, *self._left_undone()]
        notes = tuple(self.notes)
        if wrongs:
            first = wrongs[0]
            return Verdict(
                "wrong", f"{len(wrongs)} thing(s) wrong, first {_named(first)}", tuple(wrongs), notes, figures
            )
        if not self._n["updates"] or not self._audio_bytes:
            missing = "sent no session.update" if not self._n["updates"] else "sent no audio"
            return Verdict("not proven", f"nothing wrong was seen, but the client {missing}", (), notes, figures)
        if not self._n["turns"]:
            return Verdict(
                "not proven", "nothing wrong was seen, but no speech was heard in its audio", (), notes, figures
            )
        return Verdict("right", f"{self._n['turns']} turn(s) heard, nothing to object to", (), notes, figures)

    def _left_undone(self) -> list[Violation]:
        found = []
        source = getattr(self._judge, "SOURCE", _OURS)
        if self._calls:
            wanted = "a conversation.item.create with function_call_output for each call"
            got = f"{len(self._calls)} tool call(s) without an answer"
            found.append(Violation(self._wire, "function_call_output", "call_id", got, wanted, source, "us"))
        looks = self._meter.judge()
        agreed = (self._formats.get("input") or {}).get("format") or {}
        if agreed.get("type") == "audio/pcmu" and looks in ("pcm16", "a-law", "base64-twice"):
            got = f"bytes that look like {looks}"
            found.append(
                Violation(self._wire, "input_audio_buffer.append", "audio", got, "PCMU, as agreed", source, "us")
            )
        return found

    def _figures(self, now: float) -> dict[str, Any]:
        seconds = self._audio_bytes / self._bytes_per_s()
        figures: dict[str, Any] = {
            **self._n,
            "races": self.races,
            "age_s": round(now - (self._opened_at or now), 1),
            "audio_s": round(seconds, 1),
        }
        if self._first_audio is not None and self._last_audio is not None:
            took = self._last_audio - self._first_audio
            if took >= ENOUGH_S:
                figures["audio_per_s"] = round(seconds / took, 2)
        return figures

    def _bytes_per_s(self) -> int:
        agreed = (self._formats.get("input") or {}).get("format") or {}
        kind = agreed.get("type", "audio/pcmu" if self._wire == "loopback" else "audio/pcm")
        return int(agreed.get("rate") or 24000) * 2 if kind == "audio/pcm" else 8000

    def _new(self, found: list[Violation]) -> list[Violation]:
        fresh = []
        for violation in found:
            if violation.accepted:
                self.races += 1
                continue
            key = (violation.message, violation.field, violation.code)
            if key not in self._seen and len(self._seen) < MAX_KEPT:
                self._seen.add(key)
                fresh.append(violation)
        self.wrongs += fresh
        return fresh


def _of_refusal(why: str, path: str, model: str | None, given: Mapping[str, str]) -> tuple[str, str, str]:
    """Field, got and wanted of a refused upgrade; never the key itself."""
    if why == "path":
        return "path", path[:80], "/v1/realtime"
    if why == "model":
        return "?model=", _judge.short(model or "nothing"), "a model that this provider serves"
    if why == "key":
        scheme, _, key = given.get("authorization", "").partition(" ")
        got = f"{scheme[:20]!r} and {len(key)} characters" if scheme else "no such header"
        return "Authorization", got, "'Bearer ' and a key that this provider knows"
    return why, "this request", {"account": "an account with access", "limit": "fewer sessions"}.get(why, "another")


def _events(out: list[Out], name: bytes) -> list[dict[str, Any]]:
    found = []
    for message in out:
        if isinstance(message, bytes) and name in message[:80]:
            event = _decoded(message)
            if isinstance(event, dict):
                found.append(event)
    return found


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _under(field: str, old: str) -> bool:
    return field == old or field.startswith(old + ".")


def _is_alias(model: str) -> bool:
    """A name that stands for another one by the provider's own word."""
    return model.endswith("-latest")


def _named(violation: Violation) -> str:
    return violation.message + (f" with field '{violation.field}'" if violation.field else "")
