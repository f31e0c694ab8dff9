"""
What lies behind a foreign server, where its providers are our fakes: their side of each session goes into the record of
the call that is dialled at that moment. Changes nothing on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from offhook.dial.record import CallRecord
from offhook.evidence.witness import ProviderWitness
from offhook.net.server import UpgradeRequest
from offhook.sims.provider import SimProvider
from offhook.sims.provider_dial import Act
from offhook.vocab import Leg
from offhook.wires import _judge
from offhook.wires._wire import Out, Refusal, clean_text
from offhook.wires.providers import _openai_judge, _xai_judge, openai, xai

__all__ = ["Behind"]

_WIRES: Mapping[str, Any] = {"openai": openai, "xai": xai}
_JUDGES: Mapping[str, Any] = {"openai": _openai_judge.judge, "xai": _xai_judge.judge}


class Behind:
    """
    The ``Watch`` of all fakes of one server. ``dialled`` names the fakes that were asked, in order.

    ``expected``: one of them must be dialled. Where nobody says so, a server that dials none may need none.
    """

    def __init__(self, expected: bool = True) -> None:
        self.expected = expected
        self.dialled: list[str] = []
        self.open = 0
        self.record: CallRecord | None = None
        self.now: Callable[[], float] = lambda: 0.0

    def attach(self, record: CallRecord, now: Callable[[], float]) -> None:
        """From here on sessions belong to this call."""
        self.record, self.now = record, now

    def of(self, provider: str) -> _Fake:
        """Who watches one fake."""
        return _Fake(self, provider)


class _Fake:
    def __init__(self, behind: Behind, provider: str) -> None:
        self._behind = behind
        self._provider = provider

    def asked(self, request: UpgradeRequest, session: SimProvider, refusal: Refusal | None) -> _Session:
        self._behind.dialled.append(self._provider)
        return _Session(self._behind, self._provider, request, refusal)

    def strayed(self, method: str, path: str) -> None:
        """A plain request at a fake is no session."""


class _Session:
    """One session, written into the call's record as long as that is open."""

    def __init__(self, behind: Behind, provider: str, request: UpgradeRequest, refusal: Refusal | None) -> None:
        self._behind = behind
        self._provider = provider
        self._record = behind.record
        self._witness: ProviderWitness | None = None
        self._opened_at: float | None = None
        if self._record is not None:
            self._ask(self._record, request, refusal)

    def _ask(self, record: CallRecord, request: UpgradeRequest, refusal: Refusal | None) -> None:
        wire, now = _WIRES[self._provider], self._behind.now()
        path, _, query = request.path_qs.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        model = asked.get("model", [""])[0]
        if not self._behind.expected:
            record.note("sees", now, what=["provider"])
        record.note("dial.begun", now, attempt=record.counted.provider.dialled())
        record.note(
            "dial.request", now, scheme="wss", host=urlsplit(wire.ENDPOINT.value).hostname, port=None,
            path=clean_text(path)[:200], query={"model": clean_text(model)[:80]} if "model" in asked else {},
            query_keys=sorted(asked), header_names=[name for name, _ in request.headers], via_proxy=None, fake=True,
        )  # fmt: skip
        if refusal is not None:
            record.note("dial.failed", now, phase="upgrade", cause=f"answered {refusal.status} instead of 101",
                        status=refusal.status, body=clean_text(refusal.body)[:300], via_proxy=None)  # fmt: skip
            return
        record.note("dial.phase", now, phase="upgrade", ms=0.0)
        leg = wire.Leg(wire.SessionSettings(api_key=""))
        record.journal.redactors[Leg.PROVIDER] = leg.redact
        self._witness = ProviderWitness(record.journal, leg, _JUDGES[self._provider], _differences)

    @property
    def _written(self) -> bool:
        return self._record is not None and self._witness is not None and not self._record.journal.closed

    def opened(self, own: list[Out], now: float) -> None:
        self._behind.open += 1
        self._opened_at = now
        if self._written:
            assert self._record is not None
            self._record.counted.provider.opened(now)

    def received(self, data: bytes, binary: bool, own: list[Out], now: float) -> None:
        if self._written:
            assert self._record is not None and self._witness is not None
            self._witness.heard(data, now, binary=binary)
            self._record.counted.to_provider(data, now)

    def sent(self, message: Act, now: float) -> None:
        if self._written and isinstance(message, bytes):
            assert self._record is not None and self._witness is not None
            self._witness.said(message, now)
            self._record.counted.from_provider(message, now)

    def closed(self, code: int | None, reason: str, by: str, now: float) -> None:
        if self._opened_at is None:
            return
        self._behind.open -= 1
        if self._written:
            assert self._record is not None
            whose = {"us": "them", "them": "us"}.get(by, "nobody")  # "us" in a record is the program under test
            age = round(now - self._opened_at, 2)
            self._record.note("close", now, leg="provider", code=code, reason=reason[:80], by=whose, age_s=age,
                              clean=by != "nobody")  # fmt: skip


def _differences(asked: Any, echo: Any) -> Iterable[tuple[str, str, str | None]]:
    """A field that is left out of the echo says nothing at a real provider, an audio format apart."""
    for found in _judge.differences(asked, echo):
        if found.got is not None or "format" in found.field:
            yield found.field, found.asked, found.got
