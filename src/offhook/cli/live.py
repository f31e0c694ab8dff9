"""What happens in calls while they run, on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from offhook import vocab as v
from offhook.evidence.redact import Sieve

__all__ = ["Live", "words_of"]


class Live:
    """An observer of calls (``net/calls.py``) that tells people, or programs by JSON lines; sieved as everything is."""

    def __init__(self, how: str, sieve: Sieve, digits: bool = False) -> None:
        self.as_json = how == "json"
        self._sieve = sieve
        self._digits = digits
        self.clock: Callable[[], float] | None = None  # of a command that follows one call: its time, not the call's

    def say(self, what: str, **given: Any) -> None:
        data = self._sieve.clean_data(given)
        if self.as_json:
            sys.stdout.write(json.dumps({"event": what, **data}) + "\n")
        else:
            sys.stdout.write(f"{what}: {', '.join(f'{key} {value}' for key, value in data.items())}\n")
        sys.stdout.flush()

    def __call__(self, call: str, happened: v.Event | v.Note, at_s: float) -> None:
        told = words_of(happened)
        if told is None:
            return
        what, data = told
        if self.clock is not None:
            at_s = self.clock()
        if what == "key" and not self._digits:
            data = {"text": v.MASKED}
        if self.as_json:
            self.say(what, call=call, at_s=round(at_s, 3), **data)
        else:
            data = self._sieve.clean_data(data)
            text = data.get("text") or ", ".join(f"{key} {value}" for key, value in data.items())
            sys.stdout.write(f"{at_s:7.2f}s {what:<12} {text}\n")
            sys.stdout.flush()


def words_of(happened: v.Event | v.Note) -> tuple[str, dict[str, Any]] | None:
    """What is worth telling of an event, and in which words."""
    match happened:
        case v.CallerTranscript(text=text, final=True):
            return "caller", {"text": text}
        case v.Note(kind="typed", data=data):
            return "typed", {"text": str(data["text"])}
        case v.AgentTranscript(text=text, final=True, item_id=item):
            return "agent", {"text": text, "item": item}
        case v.KeyPressed(digit=digit):
            return "key", {"text": digit}
        case v.Note(kind="tool.done", data=data):
            return "tool done", {"text": f"{data['name']} {data['outcome']}, {data['ms']} ms"}
        case v.Note(kind="claim.unmet", data=data):
            return "not done", {"text": f"{data['claim']}: {data['words']}"}
        case v.ToolCalled(name=name):
            return "tool", {"text": name}
        case v.StreamStarted():
            return "stream", {"text": "started"}
        case v.StreamStopped():
            return "stream", {"text": "stopped"}
        case v.SessionConfigured(differences=differences):
            return "session", {"text": "as asked" if not differences else f"{len(differences)} difference(s)"}
        case v.DialFailed(cause=cause):
            return "dial failed", {"text": cause}
        case v.ProviderError(message=message, benign=False):
            return "error", {"text": message}
        case v.Note(kind="reply", data=data):
            return "reply", {"ms": data["ms"]}
        case v.Note(kind="barge-in", data=data):
            return "barge-in", {"heard_ms": data["heard_ms"], "of_ms": data["sent_ms"]}
        case v.Note(kind="hello", data=data):
            return "hello", {"text": "heard" if data["heard"] else "none was heard"}
        case v.Note(kind="party", data=data):
            noted = "" if data.get("acted", True) else ", not enough to act on"
            return "party", {"text": f"{data['who']}, by {data['by']}, {data['confidence']:.0%} sure{noted}"}
        case v.Note(kind="voicemail", data=data) if "heard" in data:
            return "voicemail", {"text": f"after {data['heard']}"}
        case v.Note(kind="voicemail", data=data):
            return "voicemail", {"text": f"message {data['outcome']} {data['detail']}".rstrip()}
        case v.Note(kind="transfer", data=data):
            return "transfer", {"text": str(data["state"])}
        case v.Note(kind="hold", data=data):
            return "hold", {"text": "on" if data["on"] else "off"}
        case v.Note(kind="ending", data=data):
            return "ending", {"text": str(data["why"])}
        case v.Note(kind="deadline.missed", data=data):
            return "missed", {"text": str(data["name"])}
    return None
