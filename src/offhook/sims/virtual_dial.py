"""
A leg that a <Dial> makes in virtual time: who is called, whether they pick up, how long they talk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from offhook.sims.rest import CallRow
from offhook.sims.twiml import Verb
from offhook.sims.virtual import World

__all__ = ["Dialled", "Person", "Ringing"]

RING_S = 0.5  # until it rings there


class Person(Struct, frozen=True):
    """Somebody with a telephone."""

    answers_s: float = 3.0
    talks_s: float = 10.0
    how: Literal["completed", "busy", "no-answer", "failed"] = "completed"
    answered_by: str = "human"  # what the carrier's detection makes of whoever picks up
    detected_s: float = 3.5  # after picking up
    does: Callable[[Any], None] = lambda line: None  # with the line, once it is theirs


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


class Called(Protocol):
    """The line of somebody whom the carrier calls."""

    world: World
    form: dict[str, str]
    over: bool
    on_over: Callable[[str], None]

    def begin(self) -> None: ...
    def finish(self, status: str) -> None: ...
    def tell(self, url: str, form: Mapping[str, str]) -> None: ...


class Ringing:
    """A call that was asked for by REST, from the queue to the webhook of whoever picks up."""

    def __init__(self, line: Called, row: CallRow, person: Person) -> None:
        self._line, self._row, self._person = line, row, person
        line.on_over = self._over
        world = line.world
        world.after(0.1, lambda: self._status("initiated", "initiated"))
        world.after(0.1 + RING_S, lambda: self._status("ringing", "ringing"))
        ring_s = float(row.form.get("Timeout", "60"))
        if person.how == "completed" and person.answers_s <= ring_s:
            world.after(max(person.answers_s, 0.2 + RING_S), self._pick_up)
        else:
            how = "no-answer" if person.how == "completed" else person.how
            world.after(ring_s if how == "no-answer" else 1.5, lambda: self._ends(how))

    def _status(self, event: str, status: str) -> None:
        row = self._row
        if self._line.over or row.status not in ("queued", "ringing", "in-progress"):
            return
        row.status = status if status != "initiated" else "queued"
        if event in row.events and row.form.get("StatusCallback"):
            self._line.tell(row.form["StatusCallback"], {**self._line.form, "CallStatus": status})

    def _pick_up(self) -> None:
        if self._line.over:
            return
        self._status("answered", "in-progress")
        self._line.form["CallStatus"] = "in-progress"
        form, person = self._row.form, self._person
        if form.get("MachineDetection") and form.get("AsyncAmd") == "true":
            self._line.world.after(person.detected_s, self._detected)
        person.does(self._line)
        self._line.begin()

    def _detected(self) -> None:
        url, who = self._row.form.get("AsyncAmdStatusCallback"), self._person.answered_by
        if self._row.form["MachineDetection"] == "DetectMessageEnd":
            who = who.replace("machine_start", "machine_end_beep")
        if url and not self._line.over:
            duration = str(round(self._person.detected_s * 1000))
            self._line.tell(url, {**self._line.form, "AnsweredBy": who, "MachineDetectionDuration": duration})

    def _ends(self, how: str) -> None:
        if not self._line.over:
            self._line.finish(how)

    def _over(self, status: str) -> None:
        self._row.status = status
