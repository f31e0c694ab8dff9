"""
Whether the records tell the truth: what they say of each call against what really happened in it.

Reads only what a user can read (``offhook calls``, ``offhook transcript``, the records' lines, the server's log) and
the truth of ``town.py``. Knows nothing of how the server came to it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from town import HOOK_SECRET, Part

from offhook.evidence.files import read
from offhook.evidence.record import Recording
from offhook.evidence.transcript import Turn, transcript

__all__ = ["check"]

LAST_S = 1.0  # what a killed server may have lost
NEAR_MS = 160.0  # the estimate of what was heard: the network's delay both ways, and a frame
SAMPLE = 8  # calls whose transcript is also asked of the command
ONCE = ("book", "slow_book", "crm", "near_book", "far_book", "delegate")


async def check(evening: Any) -> list[str]:
    """Everything that is untrue, a line each; figures go to ``evening.figures``."""
    house, parts = evening.house, evening.parts
    rows: list[dict[str, Any]] = json.loads(await house.command("calls", "--json", "--last", "100000"))
    by_call: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_call.setdefault(row["call"], []).append(row)
    ledger = Counter((line["what"], line["who"]) for line in house.town.ledger.lines())
    untrue = list(_whole(evening, rows, by_call))
    lost = 0
    for part in parts:
        found = by_call.get(part.seen.call_sid, [])
        if not found and part.seen.cut_by and part.seen.began > evening.killed_at - LAST_S:
            lost += 1  # it began in the last second
            continue
        path = house.records / f"{found[0]['record']}.jsonl" if found else None
        if path is None or len(found) != 1:
            said = f": {part.seen.placed} {part.seen.printed[-200:]!r}" if part.outbound else ""
            untrue.append(f"{part.key} {part.kind}: {len(found)} calls on the list, wanted one{said}")
            continue
        if not path.exists():
            lost += 1
            untrue += [f"{part.key} {part.kind}: {text}" for text in _recordless(part, found[0], evening.killed_at)]
            continue
        wrong = _Call(part, found[0], read(path), ledger, evening.killed_at).wrong()
        untrue += [f"{part.key} {part.kind} {part.seen.call_sid[:8]}: {text}" for text in wrong]
    paths = {row["call"]: house.records / f"{row['record']}.jsonl" for row in rows}
    whole = [part for part in parts if part.seen.call_sid in paths and paths[part.seen.call_sid].exists()]
    for part in whole[:: max(1, len(parts) // SAMPLE)]:
        told = json.loads(await house.command("transcript", part.seen.call_sid, "--json"))
        path = paths[part.seen.call_sid]
        if [turn["text"] for turn in told] != [turn.text for turn in transcript(read(path))]:
            untrue.append(f"{part.key} {part.kind}: `offhook transcript` says something else than the record")
    untrue += _hooks(evening, by_call)
    untrue += await evening.queue.untrue(by_call)
    figures(evening, rows, ledger, lost)
    return untrue


def figures(evening: Any, rows: list[dict[str, Any]], ledger: Counter[tuple[str, str]], lost: int) -> None:
    """The table at the end."""
    verdicts, kinds = Counter(row["verdict"] for row in rows), Counter(part.kind for part in evening.parts)
    done = Counter(what for what, _ in ledger.elements())
    evening.figures |= {
        "calls by kind": ", ".join(f"{kind} {n}" for kind, n in kinds.items()),
        "calls on the list, by verdict": ", ".join(f"{verdict or 'none'} {n}" for verdict, n in verdicts.items()),
        "deeds, by the ledger": ", ".join(f"{what} {n}" for what, n in sorted(done.items())),
        "cut off by kill -9": sum(part.seen.cut_by == "kill" for part in evening.parts),
        "of these lost, begun in its last second": lost,
        "minutes": f"{sum(row['seconds'] or 0 for row in rows) / 60:.1f}",
    }


def _whole(evening: Any, rows: list[dict[str, Any]], by_call: dict[str, Any]) -> Iterator[str]:
    """What concerns no single call."""
    known = {part.seen.call_sid for part in evening.parts}
    known |= {sid for one in evening.queue.wanted for sid in evening.queue.calls(one)}
    yield from (f"the list has a call that nobody made: {row['call']}" for row in rows if row["call"] not in known)
    log = evening.house.log.read_text()
    if "Traceback" in log:
        at = log.index("Traceback")
        yield f"the server's log has {log.count('Traceback')} tracebacks: {log[max(0, at - 120) : at].strip()!r}"
    for part in evening.parts:
        if part.theirs in log:
            yield f"the server's log has a whole phone number, of {part.key}"
    for line in evening.town.ledger.lines():
        pids = [line["pid"], line.get("child")] if line["what"] == "delegate" else [line.get("started")]
        for pid in pids:
            far = evening.house._far
            if pid is not None and _alive(pid) and (far is None or pid != far.pid):
                yield f"process {pid} of {line['what']} {line['who']} is left"


def _recordless(part: Part, row: dict[str, Any], killed_at: float) -> Iterator[str]:
    """The store knew of the call, and its record had not begun: only where it began in the server's last second."""
    if not part.seen.cut_by or part.seen.began < killed_at - LAST_S:
        yield "on the list, and there is no record"
    if row["state"] != "died" or row["end_why"] != "server died before its record began":
        yield f"state {row['state']}, {row['end_why']!r}: it died before its record began"


def _hooks(evening: Any, by_call: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Each call was told of once, by a genuine webhook that says what the list says; again only where it failed."""
    yes: dict[str, list[dict[str, Any]]] = {}
    for told in evening.town.hooks:
        if not _genuine(told["headers"], told["body"]):
            yield "a webhook's signature is not genuine"
        document = json.loads(told["body"])
        call = document["data"]["call"]
        yes.setdefault(call, [])
        if told["status"] == 200:
            yes[call].append(told)
        row = by_call.get(call, [{}])[0]
        event = {"ended": "call.ended", "died": "call.died"}.get(row.get("state", ""), "")
        if document["type"] != event and document["type"] != "call.ended":
            yield f"webhook {document['type']} of {call[:8]}, which is {row.get('state')}"
        if document["data"]["verdict"] != row.get("verdict") and "records/job-lost" not in row.get("findings", ()):
            yield f"the webhook of {call[:8]} says {document['data']['verdict']}, the list {row.get('verdict')}"
    evening.figures["webhooks, and of them refused"] = (
        f"{len(evening.town.hooks)}, {sum(told['status'] != 200 for told in evening.town.hooks)}"
    )
    again = 0
    for call, taken in yes.items():
        ids, first = {told["headers"]["webhook-id"] for told in taken}, min((told["t"] for told in taken), default=0.0)
        # what was told in the killed server's last seconds it could not write down; the key is the same (docs/hooks.md)
        unsure = len(ids) == 1 and evening.killed_at - 2 * LAST_S < first < evening.killed_at + LAST_S
        again += unsure and len(taken) == 2
        if len(taken) != 1 and not (unsure and len(taken) == 2):
            yield f"the webhook of {call[:8]} was taken {len(taken)} times, under {len(ids)} ids"
    evening.figures["told again after the kill, under the same id"] = again
    recordless = {call for call, rows in by_call.items() if "before its record" in rows[0]["end_why"]}
    yield from (f"no webhook told of {call[:8]}" for call in sorted(set(by_call) - set(yes) - recordless))


def _genuine(headers: dict[str, str], body: bytes) -> bool:
    """As the receiver's documentation (docs/hooks.md) has it."""
    key = base64.b64decode(HOOK_SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return mac in headers["webhook-signature"].split()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class _Call:
    """One call: its part, its row on the list, its record."""

    def __init__(
        self, part: Part, row: dict[str, Any], record: Recording, ledger: Counter[tuple[str, str]], killed_at: float
    ) -> None:
        self.part, self.row, self.record, self.ledger = part, row, record, ledger
        self.killed_at = killed_at
        # a call that ended in the last second may have died with the server, as far as anybody can know
        self.killed = part.seen.cut_by == "kill" or (
            row["state"] == "died" and killed_at - LAST_S < part.seen.ended < killed_at + LAST_S
        )
        self.turns: tuple[Turn, ...] = transcript(record)

    def wrong(self) -> Iterator[str]:
        if self.part.seen.trouble and not self.killed:
            yield self.part.seen.trouble
        yield from self._deeds()
        if self.part.outbound:
            yield from self._outbound()
            return
        yield from self._died() if self.killed else self._ended()
        yield from self._words()
        yield from self._runs()
        yield from self._cost()
        for name in self.part.checks if not self.killed else ():
            yield from getattr(self, "_check_" + re.split("[ -]", name)[0])(name)

    # ----------------------------------------------------------------------------------- how it ended

    def _ended(self) -> Iterator[str]:
        row, part = self.row, self.part
        if row["state"] != "ended":
            yield f"state {row['state']}, wanted ended"
        work_lost = row["findings"] == ["records/job-lost"] and part.seen.ended < self.killed_at
        if row["verdict"] not in part.verdicts and not work_lost:
            why = f"{', '.join(row['findings'])}: {row['because'][:160]}"
            yield f"verdict {row['verdict']} ({why}), wanted {part.verdicts[0]}"
        if part.rules and not part.rules <= set(row["findings"]):
            yield f"findings {row['findings']}, wanted {sorted(part.rules)}"
        if not re.search(part.end, row["end_why"]):
            yield f"end {row['end_why']!r}, wanted {part.end}"

    def _died(self) -> Iterator[str]:
        row = self.row
        if row["state"] != "died" or "records/process-died" not in row["findings"]:
            yield f"state {row['state']}, findings {row['findings']}; its server was killed"
        if "the last second may be missing" not in row["end_why"]:
            yield f"end {row['end_why']!r}: what is lost is not named"

    # ------------------------------------------------------------------------------------------- words

    def _words(self) -> Iterator[str]:
        """Both sides' words, each once, in order; of a killed server all but the last second's."""
        seen = self.part.seen
        sure = self.killed_at - LAST_S if self.killed else float("inf")
        if not seen.sessions:
            return
        caller = [turn.text for turn in self.turns if turn.who == "caller" and (turn.final or turn.text)]
        said = [text for _, text in seen.said]
        must = [text for at, text in seen.said if at < sure]
        if caller[: len(must)] != must or caller != said[: len(caller)]:
            yield f"the caller said {said}, the transcript has {caller}"
        agent = [turn.text for turn in self.turns if turn.who == "agent" and turn.kind == ""]
        answered = [text for _, text in seen.answered if text]
        if self.killed:  # an answer that was under way has no whole text yet
            must = [text for at, text in seen.answered if text and at < sure - 3.0]
            if agent[: len(must)] != must:
                yield f"the agent said {must}, the transcript has {agent}"
        elif not self._is_what_was_said(agent, answered):
            yield f"the agent said {answered}, the transcript has {agent}"
        order = [turn.at_ms for turn in self.turns]
        if order != sorted(order):
            yield "the transcript is not in the order of time"
        struck = [turn for turn in self.turns if turn.struck]
        wants = "struck" in self.part.checks or self.part.kind in ("leaves", "provider_dies", "by_the_api")
        if struck and not wants and not self.killed:
            yield f"struck, but it was heard: {struck[0].struck!r}"

    def _is_what_was_said(self, agent: list[str], answered: list[str]) -> bool:
        """In order, and all of it but answers that the server took back before a word of them was spoken."""
        rest = iter(answered)
        taken_back = sum(
            message.get("type") == "response.cancel"
            for session in self.part.seen.sessions for message in session.peer.received
        )  # fmt: skip
        if self.part.dies and agent and agent[-1] not in answered:  # it died in its last words
            taken_back += answered[-1].startswith(agent.pop())
        taken_back += bool(self.part.dies)
        in_order = all(any(text == other for other in rest) for text in agent)
        return in_order and len(answered) - len(agent) <= taken_back

    # ------------------------------------------------------------------------------------------- tools

    def _deeds(self) -> Iterator[str]:
        """What was really done: exactly as often as it was asked for, whatever the record says."""
        key = self.part.key
        for what, n in self.part.tools.items():
            done = self.ledger[what, key]
            cut_off = self.killed or "records/job-lost" in self.row["findings"]
            if done != n and not (cut_off and done < n):
                yield f"{what} was done {done} times, wanted {n}"
        for what in ONCE:
            if self.ledger[what, key] > 1:
                yield f"{what} was done {self.ledger[what, key]} times"

    def _runs(self) -> Iterator[str]:
        """What the record says was done, and what the model was told of it."""
        runs = [(note.data["name"], str(note.data["outcome"])) for note in self.record.notes("tool.done")]
        if not self.killed and Counter(runs) != Counter(self.part.runs):
            yield f"the record's tool runs are {runs}, wanted {self.part.runs}"
        for name in ONCE:
            recorded = sum(note.data["name"] == name for note in self.record.notes("tool"))
            if recorded > 1:
                yield f"{name} is on record {recorded} times"
        ids = [call_id for call_id, _ in self.part.seen.outputs]
        if len(ids) != len(set(ids)):
            yield "the model was answered twice for one tool call"
        asked = sum(
            str(line.data.get("m", {}).get("type")) == "response.function_call_arguments.done"
            for line in self.record.messages() if isinstance(line.data.get("m"), dict)
        )  # fmt: skip
        leaving = ("goodbye", "handed_over")  # whoever asked is not there any more
        if not self.killed and self.part.seen.sessions and len(ids) != asked and self.part.kind not in leaving:
            yield f"the model asked {asked} times and was answered {len(ids)} times"

    def _cost(self) -> Iterator[str]:
        """Nobody told the price of the carrier's minutes: it is unknown, and never zero."""
        if "carrier" not in (self.row["cost_unknown"] or ""):
            yield f"cost {self.row['usd']}, unknown {self.row['cost_unknown']!r}: the carrier's part is unknown"
        if self.row["usd"] is not None and self.row["usd"] <= 0 and self.part.kind != "menu":  # loopback costs nothing
            yield f"cost {self.row['usd']}: wanted more than nothing, or unknown"

    # ------------------------------------------------------------------------------ what a kind wants

    def _check_struck(self, name: str) -> Iterator[str]:
        cut, heard = [turn for turn in self.turns if turn.struck], self.part.seen.cut_heard_ms
        if len(cut) != 1 or heard is None or cut[0].heard_ms is None:
            yield f"{len(cut)} turns are struck, wanted one"
        elif abs(cut[0].heard_ms - heard) > NEAR_MS:
            yield f"{heard:.0f} ms of the answer were heard, the record says {cut[0].heard_ms}"

    def _check_job(self, name: str) -> Iterator[str]:
        last = [note.data for note in self.record.notes("job")][-1:] or [{}]
        if self.part.seen.ended < self.killed_at and last[0].get("state") in ("queued", "lost"):
            if last[0]["state"] != "lost" or "records/job-lost" not in self.row["findings"]:
                yield f"the delegate died with its server, and the record does not say so: {last[0]}"
            return
        wanted = {"done": "ok"}.get(name.split()[1], name.split()[1])
        if last[0].get("outcome") != wanted:
            yield f"the delegate's last word is {last[0]}, wanted {wanted}"
        elif wanted == "cancelled" and "no process" not in last[0]["proof"]:
            yield f"the delegate was cancelled, and nothing proves it ended: {last[0]['proof']!r}"

    def _check_transfer(self, name: str) -> Iterator[str]:
        states = [note.data["state"] for note in self.record.notes("transfer")]
        wanted = name.split()[1:]
        if states[-len(wanted) :] != wanted:
            yield f"the transfer's states are {states}, wanted {' '.join(wanted)} at last"

    def _check_keys(self, name: str) -> Iterator[str]:
        told = [str(message) for session in self.part.seen.sessions for message in session.peer.received]
        if not any("7 3 1 9" in text for text in told):
            yield "the model was not told the four keys"
        if any(re.search("7 ?3 ?1 ?9", turn.text) for turn in self.turns):
            yield "the transcript has the digits that were pressed"

    def _check_menu(self, name: str) -> Iterator[str]:
        if not any("two" in turn.text for turn in self.turns if turn.who == "agent"):
            yield "the receptionist did not answer the key"

    def _check_handed(self, name: str) -> Iterator[str]:
        if len(self.part.seen.sessions) != 2:
            yield f"{len(self.part.seen.sessions)} sessions, wanted two: the caller was handed over"

    def _check_outcomes(self, name: str) -> Iterator[str]:
        wanted = ["say heard", "hold done", "hold done", "mute done", "mute done", "dtmf heard"]
        if self.part.seen.outcomes[: len(wanted)] != wanted:
            yield f"the API answered {self.part.seen.outcomes}, wanted {wanted}"

    def _outbound(self) -> Iterator[str]:
        seen, given = self.part.seen, self.part.outbound
        if self.part.theirs in seen.printed and given["by"] == "command":
            yield "`offhook call` prints a whole phone number"
        if self.killed:
            return
        if seen.placed != given["ends"]:
            yield f"the call ended with {seen.placed}, wanted {given['ends']}: {seen.printed[-300:]!r}"
        if "rule" in given and given["rule"] not in self.row["findings"]:
            yield f"findings {self.row['findings']}, wanted {given['rule']}"
        if "rule" not in given and self.row["verdict"] != "healthy":
            yield f"verdict {self.row['verdict']} ({self.row['findings']}: {self.row['because'][:160]}), wanted healthy"
