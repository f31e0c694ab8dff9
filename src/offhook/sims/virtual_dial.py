"""
A leg that a <Dial> makes in virtual time: who is called, whether they pick up, how long they talk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from offhook.sims.twiml import Verb
from offhook.sims.virtual import World

__all__ = ["Dialled", "Person"]

RING_S = 0.5  # until it rings there


class Person(Struct, frozen=True):
    """Somebody with a telephone."""

    answers_s: float = 3.0
    talks_s: float = 10.0
    how: Literal["completed", "busy", "no-answer", "failed"] = "completed"


class Caller(Protocol):
    """The call that is given away."""

    call_sid: str
    form: dict[str, str]
    world: World
    people: Mapping[str, Person]
    legs: list[tuple[str, str]]

    def dialled(self, verb: Verb, fields: Mapping[str, str]) -> None: ...
    def tell(self, url: str, form: Mapping[str, str]) -> None: ...
    def note(self, kind: str, **data: Any) -> None: ...


class Dialled:
    """One <Dial>, from the first ring to its action."""

    def __init__(self, caller: Caller, verb: Verb) -> None:
        self._caller, self._verb = caller, verb
        self._noun = verb.nouns[0] if verb.nouns else Verb(name="Number", text=verb.text)
        self._sid = f"CA{caller.world.random.getrandbits(128):032x}"
        self._person = caller.people.get(self._noun.text, Person(how="failed"))
        self._over = False
        self._answered = False
        world = caller.world
        world.after(RING_S, self._ring)
        ring_s = float(verb.attributes.get("timeout", "30"))
        if self._person.how == "completed" and self._person.answers_s <= ring_s:
            world.after(self._person.answers_s, self._pick_up)
        else:
            how = "no-answer" if self._person.how == "completed" else self._person.how
            world.after(ring_s if how == "no-answer" else 1.0, lambda: self._end(how, 0))

    def _tell(self, event: str, status: str) -> None:
        """The leg's own callback, where it was asked for this event."""
        given = self._noun.attributes
        if given.get("statusCallback") and event in given.get("statusCallbackEvent", "completed").split():
            form = {
                **self._caller.form, "CallSid": self._sid, "ParentCallSid": self._caller.call_sid,
                "To": self._noun.text, "Direction": "outbound-dial", "CallStatus": status,
            }  # fmt: skip
            self._caller.tell(given["statusCallback"], form)

    def _ring(self) -> None:
        if not self._over:
            self._tell("ringing", "ringing")

    def _pick_up(self) -> None:
        if not self._over:
            self._answered = True
            self._tell("answered", "in-progress")
            self._caller.world.after(self._person.talks_s, lambda: self._end("completed", self._person.talks_s))

    def caller_left(self) -> None:
        """The one who was to be given away hung up: no action is asked for."""
        if not self._over:
            self._over = True
            how = "completed" if self._answered else "canceled"
            self._caller.legs.append((self._noun.text, how))
            self._tell("completed", how)

    def _end(self, how: str, seconds: float) -> None:
        if self._over:
            return
        self._over = True
        self._caller.legs.append((self._noun.text, how))
        self._tell("completed", how)
        fields = {"DialCallStatus": how, "DialCallSid": self._sid}
        if seconds:
            fields["DialCallDuration"] = str(round(seconds))
        self._caller.dialled(self._verb, fields)
