"""
Who picked up a call that we placed: somebody who says hello, or a machine that wants a message.

A person says a short word and waits; the greeting comes then, or when nobody says anything for ``hello_s``. A machine
talks on, and so do some people. The carrier's detection tells by an event of its own, often seconds later; beside it
stands what is heard here, from the caller's frames while they are held back, so that no detection delays a call. What
is noticed here and is less sure than ``machine_sure`` is noted and changes nothing. After a machine's words its beep
is awaited, a pure tone, or its silence; then the message is said, word for word, and the call ends. Everything that
was noticed is a note with its time and how sure it is. Knows no wire.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from typing import Literal

from offhook import vocab as v
from offhook.bridge.control import Control
from offhook.bridge.ending import Ending
from offhook.bridge.state import State, Stream
from offhook.bridge.talk import Talk
from offhook.bridge.uplink import is_loud
from offhook.media.tones import tone_hz

__all__ = ["Pickup"]

_FRAME_S = 0.02
_WORD_S = 0.1  # so much sound is a word, less is a click
_PAUSE_S = 0.5  # so long is the silence behind a "hello?"
_LONG_WORD_S, _LONG_PAUSE_S = 1.8, 1.2  # "Miller and Sons, good morning": a name that may go on
# Few people say hello for so long, but receptions do, and whoever asks a question at once; the carrier's own default is
# 2.4 s (MachineDetectionSpeechThreshold), and it knows more than the length.
_TALKS_ON_S, _TALKS_ON_SURE = 4.0, 0.7
_LONGEST_S = 15.0  # a noisy line never pauses: whoever waits behind it is greeted then
_BEEP_FRAMES = 8  # 160 ms of one tone
_BEEP_DRIFT = 0.02
_BEEP_SURE = 0.95  # behind words; a song and a whistle are no tone of 160 ms
_PROGRESS_HZ = (390.0, 460.0)  # ringing and busy tones (ITU-T E.180): an exchange that puts us through is no machine
_SILENT_S = 2.5  # behind the words of a machine that does not beep

_UNHEARD = (
    "(The person who was called picked up and spoke for {seconds:.1f} seconds, which you did not hear: perhaps a "
    "hello, perhaps a name. Ask for the name if you need it.)"
)


class Pickup:
    """The first seconds of a call that we placed."""

    __slots__ = (
        "_beep_frames", "_beep_hz", "_beeped", "_control", "_ending", "_loud_at", "_s", "_spoke_s", "_stage",
        "_started_at", "_talk", "_talks_on", "_who", "_word_at",
    )  # fmt: skip

    def __init__(self, state: State, talk: Talk, ending: Ending, control: Control) -> None:
        self._s = state
        self._talk = talk
        self._ending = ending
        self._control = control
        # hello: it is awaited; beep: a machine talks, and its end is awaited; message: it is being left
        self._stage: Literal["", "hello", "beep", "message"] = "hello" if state.settings.hello_s > 0 else ""
        talk.waits_for_hello = self._stage == "hello"
        self._who = ""
        self._started_at = 0.0
        self._word_at: float | None = None  # since when somebody speaks
        self._loud_at = 0.0
        self._spoke_s = 0.0
        self._talks_on = False
        self._beep_hz = 0.0
        self._beep_frames = 0
        self._beeped = False

    @property
    def listens(self) -> bool:
        """Whether frames are to be looked at."""
        return self._stage in ("hello", "beep")

    def ready(self, now: float) -> None:
        """Both sides are ready: from here on a hello may be late."""
        s = self._s
        both = s.session_ready and s.stream is Stream.OPEN
        if both and self._stage == "hello" and "hello" not in s.deadlines:
            self._started_at = now
            s.at("hello", now + s.settings.hello_s, self._nobody)

    # -------------------------------------------------------------------------------------- what is heard

    def frame(self, event: v.CallerAudio, now: float) -> None:
        """A frame of whoever picked up."""
        loud = is_loud(event.payload)
        if loud:
            if self._word_at is None:
                self._word_at = now
            self._loud_at = now
        if self._stage == "beep":
            self._look_for_beep(event, now)
        elif not self._is_beep(event, loud, now):
            self._look_for_hello(now)

    def _is_beep(self, event: v.CallerAudio, loud: bool, now: float) -> bool:
        """Whether a beep has sounded behind somebody's words, and that is sure enough."""
        if not (loud and self._hear_tone(event)):
            self._beeped, self._beep_frames = False, 0
            self._spoke_s += _FRAME_S if loud else 0.0
            return False
        progress = _PROGRESS_HZ[0] < self._beep_hz < _PROGRESS_HZ[1]
        if self._beep_frames != _BEEP_FRAMES or self._spoke_s < _WORD_S or progress:
            return False
        return self._machine(f"a beep of {self._beep_hz:.0f} Hz", _BEEP_SURE, now)

    def _look_for_hello(self, now: float) -> None:
        began = self._word_at
        if began is None:
            return
        ran_s, quiet_s = self._loud_at - began, now - self._loud_at
        if ran_s > _TALKS_ON_S and not self._talks_on:
            self._talks_on = True
            if self._machine("talks on", _TALKS_ON_SURE, now):
                return
        if ran_s > _LONGEST_S:
            if self._s.session_ready:
                self._person(round(ran_s * 1000), now)
        elif quiet_s > (_LONG_PAUSE_S if ran_s > _LONG_WORD_S else _PAUSE_S):
            if self._spoke_s < _WORD_S:
                self._word_at, self._spoke_s = None, 0.0  # a click
            elif self._s.session_ready:
                self._person(round(ran_s * 1000), now)

    def _nobody(self, now: float) -> None:
        """Nobody says a word: somebody has to begin."""
        if self._stage != "hello":
            return
        if self._word_at is not None:  # they are speaking now
            self._s.at("hello", now + _PAUSE_S, self._nobody)
            return
        self._s.note("hello", heard=False, waited_ms=self._waited_ms(now))
        self._greet(now)

    def _person(self, spoke_ms: int, now: float) -> None:
        self._s.note(
            "hello", heard=True, spoke_ms=spoke_ms, waited_ms=self._waited_ms(now),
            passed="audio" if not self._s.greeting or self._s.provider.takes_said else "note",
        )  # fmt: skip
        if self._s.greeting:
            self._pass_on(spoke_ms)
        self._greet(now)

    def _pass_on(self, spoke_ms: int) -> None:
        """
        Let the model know the hello, for a name may be in it, without its being answered beside the greeting.

        Sent as frames it would be a turn of the provider's own detection: answered, and reported over the greeting.
        """
        s = self._s
        if s.provider.takes_said:
            said = s.uplink.take()
            s.do(v.TellSaid(b64encode(said), len(said)))
        else:
            s.do(v.TellAgent(_UNHEARD.format(seconds=spoke_ms / 1000)))

    def _waited_ms(self, now: float) -> int:
        return round((now - self._started_at) * 1000) if self._started_at else 0

    def _greet(self, now: float) -> None:
        """The greeting answers the hello: the model is not to answer it a second time."""
        self._stage = ""
        s = self._s
        s.deadlines.met("hello")
        self._talk.waits_for_hello = False
        if s.greeting:
            s.uplink.forget()
        self._talk.maybe_ready(now)
        # what was asked meanwhile: without a greeting nothing else need happen on a silent line
        self._control.pump(now)

    # ----------------------------------------------------------------------------------------- a machine

    def detected(self, event: v.PartyDetected, now: float) -> None:
        """The carrier says who answered."""
        s = self._s
        machine = event.who.startswith(("machine", "fax"))
        s.note("party", who=event.who, by="carrier", ms=event.ms, confidence=1.0 if machine else 0.9, step=s.step())
        if not machine or s.ending is not None or self._stage == "message":
            return
        if self._stage != "beep":
            self._begin_machine(event.who, now)
        if self._stage == "beep" and event.who.startswith("machine_end"):
            self._leave(event.who, now)

    def _machine(self, why: str, confidence: float, now: float) -> bool:
        """What was heard here sounds like a machine; True where that is sure enough to act on it."""
        sure = confidence >= self._s.settings.machine_sure
        self._s.note(
            "party", who="machine", by="own", why=why, confidence=confidence, ms=self._waited_ms(now), acted=sure
        )
        if sure:
            self._begin_machine("machine", now)
        return sure

    def _begin_machine(self, who: str, now: float) -> None:
        s, policy = self._s, self._s.settings.machine
        self._who = who
        if policy == "talk":
            if self._stage == "hello":
                self._greet(now)
            return
        self._stage = "beep"
        self._talk.waits_for_hello = False
        s.deadlines.met("hello", "answer", "greeting audio", "greeting hold", "silence", "time warning")
        self._talk.responses.cancel(by_caller_speech=False)
        self._talk.take_back(now)
        if policy == "hang_up" or who == "fax" or not s.settings.machine_message:
            self._end(f"{'fax' if who == 'fax' else 'voicemail'}: agent hung up", now)
            return
        s.uplink.mute(True)
        self._talk.no_greeting_any_more(now)
        s.expect("beep", s.settings.beep_s, now, lambda at: self._leave("nothing was heard of a beep", at))

    def response_started(self) -> None:
        """A provider that answers by itself what it heard of a machine: nobody listens."""
        if self._stage == "beep":
            self._s.deadlines.met("answer")
            self._talk.responses.cancel(by_caller_speech=False)

    def _hear_tone(self, event: v.CallerAudio) -> bool:
        """Whether a tone sounds: the same one as in the frames before."""
        hz = tone_hz(a2b_base64(event.payload))
        if hz is None or (self._beep_frames and abs(hz - self._beep_hz) >= _BEEP_DRIFT * self._beep_hz):
            self._beep_frames = 0
            return False
        self._beep_hz, self._beep_frames = hz, self._beep_frames + 1
        self._beeped = self._beeped or self._beep_frames >= _BEEP_FRAMES
        return True

    def _look_for_beep(self, event: v.CallerAudio, now: float) -> None:
        if self._hear_tone(event):
            return
        if self._beeped:
            self._leave(f"a beep of {self._beep_hz:.0f} Hz", now)
            return
        if self._word_at is not None and now - self._loud_at > _SILENT_S:
            self._leave("it fell silent", now)

    def _leave(self, because: str, now: float) -> None:
        if self._stage != "beep" or not self._s.session_ready:
            return
        self._stage = "message"
        self._s.deadlines.met("beep")
        self._s.note("voicemail", heard=because, hz=round(self._beep_hz) if self._beeped else None)
        self._control.sayings.say(self._s.settings.machine_message, now, self._left)

    def _left(self, outcome: str, detail: str, now: float) -> None:
        self._s.note("voicemail", left=outcome == "heard", outcome=outcome, detail=detail)
        self._end("voicemail: message left, agent hung up" if outcome == "heard" else "voicemail: agent hung up", now)

    def _end(self, why: str, now: float) -> None:
        self._stage = ""
        if self._s.ending is None:
            self._ending.finish(why, now, wanted=True)
