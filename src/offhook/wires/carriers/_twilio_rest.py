"""
Twilio's REST as we ask it: requests described, never sent.

Source of every name: twilio/twilio-oai spec/yaml/twilio_api_v2010.yaml (2026-04-14, read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from offhook.wires._wire import Fact, RestRequest
from offhook.wires.carriers._twilio_twiml import dial

if TYPE_CHECKING:
    from offhook.wires.carriers.twilio import CarrierSettings

__all__ = ["REST_TWIML_CHARS", "create_call", "end_call", "list_numbers", "point_number", "show_call", "transfer"]

REST_TWIML_CHARS = Fact(4000, "twilio/twilio-oai twilio_api_v2010.yaml", "2026-11-22")
# A call that is over: not found, or not in progress. Whatever was to be done to it needs no doing.
GONE = ((404, 20404), (400, 21220))
STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
NUMBER_FIELDS = ("VoiceUrl", "VoiceMethod", "VoiceApplicationSid", "TrunkSid", "VoiceFallbackUrl", "StatusCallback")


def _request(
    settings: CarrierSettings, method: str, path: str, form: Sequence[tuple[str, str]] = (),
    done_when: tuple[tuple[int, int | None], ...] = (),
) -> RestRequest:  # fmt: skip
    credentials = settings.rest_credentials
    assert credentials is not None, "traits().ends_by_rest says whether this may be asked"
    return RestRequest(
        method=method,
        url=f"{settings.rest_base}/Accounts/{settings.account_sid}/{path}",
        form=tuple(form),
        username=credentials[0],
        password=credentials[1],
        done_when=done_when,
    )


def end_call(settings: CarrierSettings, call_sid: str, *, ringing: bool = False) -> RestRequest:
    """The request that ends a call, or one that nobody has answered yet. A call that is over already counts as done."""
    status = "canceled" if ringing else "completed"
    return _request(settings, "POST", f"Calls/{call_sid}.json", (("Status", status),), GONE)


def transfer(settings: CarrierSettings, call_sid: str, target: str, ring_s: int, caller_id: str = "") -> RestRequest:
    """The request that takes a call from its stream and gives it to ``target``."""
    twiml = dial(settings, call_sid, target, ring_s, caller_id).decode()
    assert len(twiml) <= REST_TWIML_CHARS.value
    # how the end of a call without a stream is learned: the dial's action is not asked for once the caller has left
    told = ("StatusCallback", f"{settings.public_url}{settings.call_path}/status")
    return _request(settings, "POST", f"Calls/{call_sid}.json", (("Twiml", twiml), told))


def show_call(settings: CarrierSettings, call_sid: str) -> RestRequest:
    return _request(settings, "GET", f"Calls/{call_sid}.json")


def create_call(
    settings: CarrierSettings,
    to: str,
    from_: str,
    own: Mapping[str, str],
    *,
    ring_s: int = 30,
    machine: str = "",
    machine_s: int = 30,
    send_digits: str = "",
    caller_id: str = "",
) -> RestRequest:
    """
    The request for a call. ``own`` goes into the webhook's address: what we must know again when the call is answered.

    ``machine`` is Enable or DetectMessageEnd, always asynchronous: a blocking detection is seconds of silence for a
    person (twilio.com/docs/voice/answering-machine-detection).
    """
    query = f"?{urlencode(own)}" if own else ""
    base, calls = settings.public_url, settings.public_url + settings.call_path
    form = [
        ("To", to), ("From", from_), ("Url", f"{base}{settings.webhook_path}{query}"), ("Timeout", str(ring_s)),
        ("StatusCallback", f"{calls}/status{query}"), *(("StatusCallbackEvent", event) for event in STATUS_EVENTS),
    ]  # fmt: skip
    if machine:
        form += [
            ("MachineDetection", machine), ("MachineDetectionTimeout", str(machine_s)), ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", f"{calls}/machine{query}"),
        ]  # fmt: skip
    if send_digits:
        form.append(("SendDigits", send_digits))
    if caller_id:
        form.append(("CallerId", caller_id))
    return _request(settings, "POST", "Calls.json", form)


def list_numbers(settings: CarrierSettings, number: str = "") -> RestRequest:
    """The account's own numbers, or the one that is ``number``."""
    query = {"PageSize": "200", **({"PhoneNumber": number} if number else {})}
    return _request(settings, "GET", f"IncomingPhoneNumbers.json?{urlencode(query)}")


def point_number(settings: CarrierSettings, number_sid: str, fields: Mapping[str, str]) -> RestRequest:
    """Where a number's calls go, by ``NUMBER_FIELDS``."""
    assert set(fields) <= set(NUMBER_FIELDS)
    return _request(settings, "POST", f"IncomingPhoneNumbers/{number_sid}.json", tuple(fields.items()))
