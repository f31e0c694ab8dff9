"""
What a call cost, part by part: amounts that were counted times prices that have a source and a date.

What nobody counted, or nobody told us the price of, is *unknown*: it is listed as such and never becomes a zero. Pure;
the prices are the provider's wire's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from offhook.evidence.record import SCREENS, Channel, Recording
from offhook.wires._wire import Fact, Price

__all__ = ["Cost", "Part", "Used", "cost", "used"]

_NOT_COUNTED = "the call's record has no such figure"
_TRANSCRIPTION = "transcription."  # what the figures of writing down begin with
_WRITTEN = tuple(f"conversation.item.input_audio_transcription.{how}" for how in ("completed", "failed"))


class Part(Struct, frozen=True):
    """One thing that costs money. ``usd`` None: unknown, and ``why``."""

    what: str
    amount: float | None
    usd: float | None
    price: str = ""  # as a person reads it
    source: str = ""
    checked: str = ""
    why: str = ""


class Cost(Struct, frozen=True):
    """A call's parts."""

    parts: tuple[Part, ...] = ()

    @property
    def usd(self) -> float | None:
        """What is known of it; None where nothing is."""
        known = [part.usd for part in self.parts if part.usd is not None]
        return sum(known) if known else None

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(part.what for part in self.parts if part.usd is None)

    def __str__(self) -> str:
        known = "unknown" if self.usd is None else f"${self.usd:.4f}"
        return known if self.usd is None or not self.unknown else f"{known} + unknown ({', '.join(self.unknown)})"


class Used(Struct, frozen=True):
    """What of a call is paid for. None: nobody counted it."""

    usage: Mapping[str, float] | None = None  # the provider's own figures, summed up
    minutes: float | None = None  # that its session was open
    texts: int | None = None  # sent into it
    transcribed: bool = False  # some of the caller's words were written down by a model of its own
    carrier_minutes: float | None = None  # of the phone call, as far as we saw it
    phone: bool = True  # a carrier is paid for it


def used(call: Recording) -> Used:
    """What a record says of it."""
    opened = call.milestone("M8")
    closed = next((line for line in call.notes("provider.closed")), None)
    stream = call.milestone("M6")
    usage = (call.end or {}).get("usage")
    session = [line for line in call.messages(Channel.TO_PROVIDER) if _kind(line.data) == "session.update"]
    written = any(_kind(line.data) in _WRITTEN for line in call.messages(Channel.FROM_PROVIDER))
    figures = usage.items() if isinstance(usage, dict) else None
    return Used(
        usage={name: n for name, n in figures if isinstance(n, (int, float))} if figures is not None else None,
        minutes=((closed.at_ms if closed else call.last_ms) - opened.at_ms) / 60_000 if opened else 0.0,
        texts=sum(_is_text(line.data) for line in call.messages(Channel.TO_PROVIDER)),
        transcribed=written and any(_transcribes(line.data) for line in session),
        carrier_minutes=(call.last_ms - stream.at_ms) / 60_000 if stream is not None else 0.0,
        phone=call.begin.get("carrier") not in SCREENS,
    )  # fmt: skip


def cost(
    told: Used, prices: Fact[tuple[Price, ...]] | None, *, model: str = "", carrier_usd_per_minute: float | None = None
) -> Cost:
    """The parts of a call's cost. ``prices`` None: the provider's are not known for this model."""
    parts: list[Part] = []
    if prices is None:
        parts.append(Part("provider", None, None, why=f"no price is known for {model or 'this model'}"))
    else:
        parts += _provider(told, prices)
        by_minute = any(price.what == "minutes" for price in prices.value)
        if not by_minute:
            parts += _transcription(told, prices)
    if told.phone:
        parts.append(_carrier(told, carrier_usd_per_minute))
    return Cost(tuple(parts))


def _provider(told: Used, prices: Fact[tuple[Price, ...]]) -> Iterable[Part]:
    figures: dict[str, float] = dict(told.usage or {})
    if told.minutes is not None:
        figures["minutes"] = told.minutes
    if told.texts is not None:
        figures["texts"] = told.texts
    idle = told.minutes == 0.0 and not told.usage  # no session, so nothing to pay for
    priced = {price.what for price in prices.value}
    for price in prices.value:
        if price.what.startswith(_TRANSCRIPTION):
            continue
        amount = figures.get(price.what)
        if amount is None and (idle or (told.usage and price.what not in told.usage)):
            amount = 0.0  # the provider counted, and there was none of it
        if amount is None:
            yield Part(price.what, None, None, _words(price), prices.source, prices.checked, why=_NOT_COUNTED)
            continue
        cheaper = figures.get(price.less, 0.0) if price.less else 0.0
        if cheaper and price.less not in priced:
            yield Part(price.less, cheaper, None, source=prices.source, why="no price is known for cached tokens")
        amount = max(0.0, amount - cheaper)
        usd = amount * price.usd / price.per
        if amount or price.what in ("minutes",):
            yield Part(price.what, amount, usd, _words(price), prices.source, prices.checked)


def _transcription(told: Used, prices: Fact[tuple[Price, ...]]) -> Iterable[Part]:
    """What writing down the caller's words cost: a model of its own, which counts for itself."""
    figures = {name: n for name, n in (told.usage or {}).items() if name.startswith(_TRANSCRIPTION)}
    known = [price for price in prices.value if price.what in figures]
    if not figures and told.transcribed:
        yield Part("transcription", None, None, why="the provider did not say what it took")
    for price in known:
        amount = figures[price.what]
        source, checked = price.source or prices.source, price.checked or prices.checked
        yield Part(price.what, amount, amount * price.usd / price.per, _words(price), source, checked)
    # the figures' sum, less what has a price of it
    rest = figures.get(f"{_TRANSCRIPTION}total_tokens", 0.0) - sum(figures[price.what] for price in known)
    if figures and (rest > 0 or not known):
        yield Part("transcription", max(rest, 0.0) or None, None, why="no price is known for some of what it counts")


def _carrier(told: Used, usd_per_minute: float | None) -> Part:
    minutes = told.carrier_minutes
    if minutes == 0.0:
        return Part("carrier", 0.0, None, why="the call never reached us; the carrier knows what it took")
    if usd_per_minute is None or minutes is None:
        return Part("carrier", minutes, None, why="depends on country and number: set cost.carrier_usd_per_minute")
    return Part("carrier", minutes, minutes * usd_per_minute, f"${usd_per_minute:g} a minute", "your settings")


def _words(price: Price) -> str:
    per = {1: "each", 1_000_000: "a million"}.get(price.per, f"for {price.per}")
    return f"${price.usd:g} {per}"


def _kind(data: Mapping[str, object]) -> str:
    message = data.get("m")
    return str(message.get("type")) if isinstance(message, Mapping) else ""


def _is_text(data: Mapping[str, object]) -> bool:
    """Whether a message of ours puts a text into the conversation."""
    message = data.get("m")
    item = message.get("item") if isinstance(message, Mapping) else None
    return _kind(data) == "conversation.item.create" and isinstance(item, Mapping) and item.get("type") == "message"


def _transcribes(data: Mapping[str, object]) -> bool:
    node: object = data.get("m")
    for name in ("session", "audio", "input", "transcription"):
        node = node.get(name) if isinstance(node, Mapping) else None
    return bool(node)
