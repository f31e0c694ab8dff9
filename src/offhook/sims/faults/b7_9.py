"""Records, call control, and the far end."""

from __future__ import annotations

from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import AGENT, ALL, CALLER, LONG, SHORT, WORDS, foreign, mute, ours, talk, wait
from offhook.sims.provider import Answer, tone
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_voice import SILENCE


@injects("F-153")
def last_words_lost() -> list[Recording]:
    """The transcript of the last turn comes after the teardown."""

    def play(line: Line) -> None:
        line.then(4.0, lambda: line.say(SHORT)).then(7.95, line.hang_up)

    return foreign(play=play, net={"faults": ("late-transcripts@0.8s",)}, sees=ALL)


@injects("F-154")
def store_locked() -> list[Recording]:
    return foreign(store_stalls_s=3.0, sees=ALL, play=wait(24.0))


@injects("F-155")
def record_open() -> list[Recording]:
    """The end of the call raises: the record never learns of it."""
    return foreign(teardown_raises="OperationalError", sees=ALL, play=wait(14.0), cut=True)


@injects("F-156")
def job_lost() -> list[Recording]:
    return foreign(job="lost", sees=ALL, play=wait(14.0))


@injects("F-157")
def outbound_refused() -> list[Recording]:
    def play(line: Line) -> None:
        assert line.observer is not None
        line.observer.note("rest.result", line.world.now(), op="create", http=400, code=21215, ok=False, ms=180)
        line.left = True
        line.over = True

    return foreign(play=play, source="dial", sees=ALL, line={"direction": "outbound-api"}, begins=False)


@injects("F-158")
def machine_detection() -> list[Recording]:
    """Answered; the stream opens three and a half seconds later, when the detection is done."""
    return foreign(
        line={"direction": "outbound-api", "answered_by": "human"}, answered_before_s=3.5, sees=ALL, play=talk
    )


@injects("F-159")
def rest_fails() -> list[Recording]:
    script = (Answer(audio=SHORT, transcript="Goodbye.", tool="hang_up"),)
    return ours("openai", net={"script": script}, rest=(401, 20003), greeting="Hello.", play=wait(40.0))


@injects("F-161")
def echo() -> list[Recording]:
    def play(line: Line) -> None:
        line.echo = (-14.0, 0.24)
        line.then(30.0, line.hang_up)

    return foreign(play=play, net={"script": (Answer(audio=LONG, transcript=WORDS * 2),)})


@injects("F-162")
def noise_bursts() -> list[Recording]:
    def play(line: Line) -> None:
        for at in (3.0, 7.0, 11.0, 15.0, 19.0):
            line.then(at, lambda: line.say(tone(120, 700.0, -18.0)))
        line.then(26.0, line.hang_up)

    return foreign(play=play, net={"script": (Answer(audio=LONG, transcript=WORDS * 2),)})


@injects("F-163")
def muted() -> list[Recording]:
    return foreign(line={"quiet": SILENCE}, play=mute(25.0))


@injects("F-164")
def path_opens_late() -> list[Recording]:
    """A SIP leg: audio is sent at once, the callee speaks late, and nobody can tell whether the first words arrived."""

    def play(line: Line) -> None:
        line.then(6.0, lambda: line.say(CALLER)).then(20.0, line.hang_up)

    return foreign(
        line={"direction": "outbound-api", "quiet": SILENCE, "form": {"To": "sip:callee@example.net"}}, play=play
    )


def voicemail(line: Line) -> None:
    """A greeting of nine seconds and a beep."""
    line.then(0.4, lambda: line.say(AGENT + CALLER)).then(9.8, lambda: line.say(tone(900, 1000.0, -10.0)))
    line.then(26.0, line.hang_up)


@injects("F-165")
def machine() -> list[Recording]:
    line = {"direction": "outbound-api", "answered_by": "machine_end_beep"}
    return foreign(line=line, play=voicemail)
