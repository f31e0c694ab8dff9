"""
Whether Twilio vouches for a caller's number (STIR/SHAKEN), and what else a webhook's address says.

A number that nobody vouches for is a claim: whoever calls may have chosen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from offhook.wires._wire import Fact

__all__ = ["VOUCHED", "own_parameters", "vouches"]

# A: the caller's own carrier knows the customer and their right to the number. B and C say less, and "Passed-C" is
# any gateway. Only calls that carry a signature have the parameter at all: today those of the United States.
# Passthrough: the originating carrier's signature was checked, as without it. Diverted does not count: what was checked
# there is the signature of whoever forwarded the call, which says nothing of the caller's right to the number.
VOUCHED = Fact(
    ("TN-Validation-Passed-A", "TN-Validation-Passed-A-Passthrough"),
    "twilio.com/docs/voice/trusted-calling-with-shakenstir, table of StirVerstat (read in a public copy)", "2026-11-25",
)  # fmt: skip
# A client has shown an access token of this account to register under its name.
_PROVEN_KINDS = ("client:",)


def vouches(parameters: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the caller is who the webhook says, and what the carrier said of it."""
    if parameters.get("Direction", "").startswith("outbound"):
        return True, "we called this number"
    if parameters.get("From", "").startswith(_PROVEN_KINDS):
        return True, "a client with an access token"
    said = parameters.get("StirVerstat", "")
    return said in VOUCHED.value, said or "no StirVerstat"


def own_parameters(path_qs: str) -> dict[str, str]:
    """What the number's owner wrote into the webhook's address, as in ``/twilio/voice?campaign=spring``."""
    given = dict(parse_qsl(path_qs.partition("?")[2], keep_blank_values=True))
    return {name: value for name, value in given.items() if name not in _CARRIERS_OWN and name != "bodySHA256"}


_CARRIERS_OWN = frozenset((
    "AccountSid", "AnsweredBy", "ApiVersion", "CallSid", "CallStatus", "CallToken", "Called", "CalledCity",
    "CalledCountry", "CalledState", "CalledZip", "Caller", "CallerCity", "CallerCountry", "CallerName", "CallerState",
    "CallerZip", "Direction", "ForwardedFrom", "From", "FromCity", "FromCountry", "FromState", "FromZip",
    "MachineDetectionDuration", "ParentCallSid", "StirPassportToken", "StirVerstat", "To", "ToCity", "ToCountry",
    "ToState", "ToZip",
))  # fmt: skip
