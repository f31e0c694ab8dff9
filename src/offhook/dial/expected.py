"""
What a right server does where the carrier goes wrong on purpose: it refuses, or the call is not what was planned.

Written into the call's record, so that whoever reads it later holds the same against the server as the dial did. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

__all__ = ["MUST_REFUSE", "Expected", "expected"]


class Expected(Struct, frozen=True):
    """What the dialled faults account for; all empty where they account for nothing."""

    why: str = ""
    stops: str = ""  # the milestone from which on nothing is due
    excuses: tuple[str, ...] = ()  # findings that tell of the dialled fault, not of the server
    refused: bool = False  # the call came to nothing, and rightly
    spoiled: bool = False  # what the caller planned could not come about


class _Fault(Struct, frozen=True):
    stops: str = ""
    excuses: tuple[str, ...] = ()
    spoils: bool = True


_AT_WEBHOOK = ("webhook/*", "settings/*", "carrier-stream/*", "bridge/*", "carrier:*")
_AT_UPGRADE = ("settings/*", "carrier-stream/*", "bridge/*", "carrier:*")
_LOST = ("carrier-stream/lost",)
_REJECTED = ("carrier-stream/rejected-by-us", "carrier:31921")

# Faults after which a server must not go on, with the statement of the conformance list that says so, ...
MUST_REFUSE = {
    "webhook-signature": "S01", "upgrade-signature": "H10", "wrong-path": "H01", "webhook-elsewhere": "H01",
    "no-upgrade-header": "H13",
}  # fmt: skip
# ... and those after which it need not: the form that names the call is lost.
_MAY_REFUSE = ("webhook-redirected", "webhook-json")
_UPGRADE = ("upgrade-signature", "wrong-path", "no-upgrade-header")

_SPOILT = {
    "hang-up": _Fault(),
    "hang-up-before-upgrade": _Fault("M4"),
    "close-without-stop": _Fault("", _LOST),
    "stop-without-close": _Fault(),
    "drop": _Fault("", _LOST),
    "half-dead": _Fault("M16", ("carrier-stream/half-dead", "media/heard-at-the-phone", *_LOST)),
    "no-start": _Fault("M6", ("carrier-stream/not-started",)),
    "one-way": _Fault(),
    "dtmf-only": _Fault("M7"),
    "early-media-lost": _Fault(),
    "digital-silence": _Fault(),
    "quiet": _Fault(),
    "low-level": _Fault(),
    "webhook-retried": _Fault(),
    "slow-read": _Fault(),
    "foreign-call": _Fault("M16", _REJECTED),
    "no-parameters": _Fault("M16", _REJECTED),
    "reconnect": _Fault("M16", (*_REJECTED, *_LOST)),
    "second-stream": _Fault("", _REJECTED, spoils=False),
    "both-tracks": _Fault("", ("carrier-stream/both-tracks",), spoils=False),
}  # fmt: skip


def expected(faults: Sequence[str], failed: str = "", status: int | None = None, upgraded: bool = False) -> Expected:
    """
    What ``faults``, as dialled, account for in a call that ``failed`` (why), or came about.

    ``status`` is the server's last answer, ``upgraded`` whether the stream was asked for: a server that cannot be
    reached refuses nothing, and what it makes of the webhook says nothing of a bent upgrade.
    """
    for fault in faults:
        name = fault.partition("=")[0].partition("@")[0]
        if failed and name == "unreachable" and not status:
            return Expected(f"not reached, as was dialled: {failed}", "M1", _AT_WEBHOOK, refused=True)
        refuses = name in MUST_REFUSE or name in _MAY_REFUSE
        if failed and refuses and (name in _UPGRADE) is upgraded and status is not None and 400 <= status < 500:
            stops, excuses = ("M5", _AT_UPGRADE) if upgraded else ("M2", _AT_WEBHOOK)
            whether = "should" if name in MUST_REFUSE else "may"
            return Expected(f"refused, as it {whether} be with {fault}: {failed}", stops, excuses, refused=True)
    if failed:
        return Expected()
    known = [
        (fault, _SPOILT[name]) for fault in faults if (name := fault.partition("=")[0].partition("@")[0]) in _SPOILT
    ]
    stops = min((each.stops for _, each in known if each.stops), key=lambda step: int(step[1:]), default="")
    return Expected(
        "dialled: " + ", ".join(fault for fault, _ in known) if known else "", stops,
        tuple(name for _, each in known for name in each.excuses), spoiled=any(each.spoils for _, each in known),
    )  # fmt: skip
