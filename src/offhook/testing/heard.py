"""
What can be asked and asserted of a call, wherever it ran: what was heard, how soon, which marks, what the verdict is.

Every assertion that fails says what was measured and, where there is a recording, what is wrong with the call.
"""

from __future__ import annotations

import math
import wave
from pathlib import Path
from typing import Any

from offhook.diagnosis.report import Report, report
from offhook.evidence.record import Recording
from offhook.media import g711
from offhook.media.levels import level_dbfs
from offhook.sims.carrier import Phone
from offhook.wires._wire import Violation

__all__ = ["HeardCall"]

SPOKEN_DBFS = -45.0  # quieter than any speech on a phone line


class HeardCall:
    """The questions; whoever runs the call fills ``_phone``, ``_utterances`` (of the caller) and ``_recording``."""

    _utterances: list[tuple[float, float]]

    def _phone(self) -> Phone | None:
        raise NotImplementedError

    def _recording(self) -> Recording:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ asked

    @property
    def recording(self) -> Recording:
        """The call as it was written down; ends the call if it still runs."""
        return self._recording()

    @property
    def report(self) -> Report:
        """The diagnosis of the call; ends the call if it still runs."""
        return report(self._recording())

    @property
    def heard(self) -> bytes:
        """What the caller heard so far, as PCMU, without the pauses."""
        phone = self._phone()
        return phone.audio() if phone is not None else b""

    @property
    def heard_ms(self) -> int:
        return len(self.heard) // 8

    @property
    def heard_dbfs(self) -> float:
        """How loud it was."""
        return level_dbfs(self.heard)

    @property
    def replies_ms(self) -> list[int]:
        """
        From the end of each utterance of the caller to the first sound behind it.

        An utterance that nothing followed before the next one is left out.
        """
        phone = self._phone()
        begins = sorted(segment.began for segment in phone.heard) if phone is not None else []
        found = []
        for n, (_, ended) in enumerate(self._utterances):
            until = self._utterances[n + 1][0] if n + 1 < len(self._utterances) else math.inf
            first = next((at for at in begins if ended - 0.02 <= at < until), None)
            if first is not None:
                found.append(round((first - ended) * 1000))
        return found

    @property
    def marks(self) -> list[str]:
        """The marks that came back, in order."""
        phone = self._phone()
        return list(phone.marks_returned) if phone is not None else []

    @property
    def violations(self) -> list[Violation]:
        """Every rule of the carrier's wire that the server broke."""
        phone = self._phone()
        return list(phone.peer.violations) if phone is not None else []

    def save(self, path: Path | str) -> None:
        """What was heard, as a WAV file."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(g711.decode(self.heard).astype("<i2").tobytes())

    # --------------------------------------------------------------------------------------- asserted

    def assert_heard(self, at_least_ms: int = 1) -> None:
        """The caller heard so much, and it was loud enough to be speech."""
        assert self.heard_ms >= at_least_ms, self._say(f"the caller heard {self.heard_ms} ms, wanted {at_least_ms}")
        level = self.heard_dbfs
        assert level > SPOKEN_DBFS, self._say(f"what the caller heard is at {level:.0f} dBFS: nobody hears that")

    def assert_silent(self) -> None:
        """The caller heard nothing."""
        assert not self.heard, self._say(f"the caller heard {self.heard_ms} ms")

    def assert_replies_within(self, ms: int, *, at_least: int = 1) -> None:
        """Every utterance that was answered was answered in time, and so many were."""
        replies = self.replies_ms
        assert len(replies) >= at_least, self._say(f"{len(replies)} answers, wanted {at_least}")
        assert max(replies) <= ms, self._say(f"answers after {replies} ms, wanted {ms} at most")

    def assert_marks_returned(self, at_least: int = 1) -> None:
        """The server asks for receipts, and got so many: it can know what was heard."""
        got = len(self.marks)
        assert got >= at_least, self._say(f"{got} marks came back, wanted {at_least}")

    def assert_no_violations(self) -> None:
        """The server keeps the carrier's contract."""
        found = self.violations
        assert not found, "\n".join(["the carrier's contract was broken:", *map(str, found[:5])])

    def assert_healthy(self) -> None:
        """Nothing is wrong with the call."""
        made = self.report
        assert made.verdict == "healthy", _told(made)

    def assert_named(self, *names: str) -> None:
        """The call's causes are exactly these, in this order: ids of rules, or of the fault catalogue."""
        made = self.report
        found = [finding for finding in (*made.roots, *made.others) if finding.severity != "note"]
        got = [(finding.rule, finding.catalogue) for finding in found]
        fits = len(got) == len(names) and all(name in pair for name, pair in zip(names, got, strict=True))
        assert fits, f"wanted {', '.join(names)}\n{_told(made)}"

    def _say(self, what: str) -> str:
        return f"{what}\n{self._context()}"

    def _context(self) -> str:
        """What more is known where an assertion fails."""
        return f"the caller spoke {len(self._utterances)} time(s); {len(self.marks)} marks came back"


def _told(made: Report) -> str:
    """A report for the one who reads a failed test."""
    lines: list[Any] = [f"the call is {made.verdict}: {made.because}"]
    lines += [f"  {hop.boundary:17} {hop.state:12} {hop.observable}" for hop in made.hops]
    lines += [f"  fix: {finding.fix}" for finding in made.roots]
    return "\n".join(lines)
