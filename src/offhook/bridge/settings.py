"""
Every deadline and bound of a call, with its default and the reason for it.

Knows nothing of how they are kept: see ``deadlines.py`` and the parts of the bridge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from offhook import vocab as v

__all__ = ["BridgeSettings"]


class BridgeSettings(Struct, frozen=True):
    """Seconds where the name ends in ``_s``."""

    greeting: str | None = None
    on_failure: Literal["say", "fall_through"] = "say"  # fall_through: the carrier's next verb runs

    # Connecting. The carrier opens the stream right after the webhook's answer; ringing time is before the webhook.
    stream_s: float = 20.0
    start_s: float = 5.0  # connected and start come in the first packets
    first_frame_s: float = 5.0  # media flows from the start on, silence included
    open_s: float = 12.0  # the dialler's own limit is 10 s; this catches a dialler that never reports
    redial_within_s: float = 3.0  # a second dial later than this would only lengthen the caller's silence
    greeted_s: float = 5.0  # the first message follows the upgrade within 0.2 s at every provider measured
    configured_s: float = 5.0  # the echo follows within 0.2 s
    unconfirmed_s: float = 1.0  # a provider without echo: time for a refusal to arrive, then the call goes on

    # What is being found out about the caller is waited for so long before the session is configured; 0: nothing is.
    briefing_s: float = 0.0

    # Talking.
    first_audio_s: float = 8.0  # a slow model's first word takes 2.5 to 6 s and is healthy
    answer_s: float = 20.0  # caller spoke, nothing came back: longer than any think time seen
    response_end_s: float = 3.0  # a cancelled response reports its end within a round trip; then we ask without it
    # Speech goes in and the provider says nothing of it: longer than a semantic end of turn takes (8 s), with
    # at least this many loud looks (one frame in five, 100 ms: 1.6 s of sound), so that a cough is no speech.
    speech_heard_s: float = 12.0
    speech_heard_looks: int = 16
    # A provider that answers when asked and never reports speech: a third asking would only be a third monologue.
    max_deaf_nudges: int = 2
    speech_end_s: float = 15.0  # a turn that began: look so often whether the caller still makes any sound
    first_mark_s: float = 5.0  # after the audio before it has been played
    # Caller audio is held back while the greeting is being made (see bridge_talk), but not for ever.
    greeting_hold_s: float = 6.0
    # What was held reaches the provider in one burst and is reported within this time. Later reports of early
    # speech are not believed: a provider whose clock starts anew would make every barge-in look early.
    early_report_s: float = 3.0
    early_audio_s: float = 15.0  # caller audio kept until the provider is ready: 160 kB as base64
    max_unplayed_s: float = 300.0  # half of what Twilio takes before it drops (10 min)
    silent_audio_s: float = 4.0  # so much digital silence from the provider is a fault, not a pause
    max_failed_responses: int = 3
    max_mute_responses: int = 3  # completed, but nothing that can be heard, and no tool called
    # 200 ms: the playback clock carries the truth between two marks, each mark costs as much as a frame
    mark_every_bytes: int = 1600

    # Tools. The names that the agent may call; hang_up is the bridge's own.
    tools: Mapping[str, v.ToolPolicy] = {}
    may_hang_up: bool = True  # the agent was given hang_up
    # What the agent says it did, or does, and no tool was called for: noted, told to the agent, or hung up for it.
    unmet: Literal["note", "nudge", "act"] = "note"
    filler_every_s: float = 5.0  # of silence, after the first filler

    records: bool = False  # the audio is kept
    # A key lasts 100 to 500 ms, and is told of when it is over. Whoever keys in a card number takes less than five
    # seconds from one key to the next, or looks it up again.
    key_sound_s: float = 0.6
    keys_over_s: float = 5.0
    note_digits: bool = False  # a PIN is a secret: which key was pressed goes to the agent, not into notes

    # Calls that we place.
    hello_s: float = 0.0  # the greeting waits so long for a hello; 0: a call that came in, nobody waits
    machine: Literal["talk", "hang_up", "message"] = "talk"  # what a voicemail gets
    machine_message: str = ""
    # Our own ear acts on what is as sure as this; the carrier's word always counts. A long opening is 0.7: receptions
    # talk so long, and a person who is hung up on costs more than a greeting said to a machine. A beep is 0.95.
    machine_sure: float = 0.9
    beep_s: float = 45.0  # voicemails talk for up to half a minute

    # Call control.
    ring_s: float = 30.0  # to whom a caller is given; the carrier's own default
    talk_s: float = 4 * 3600.0  # the longest call that the carrier allows; then it tells us nothing any more
    handover_s: float = 12.0  # dial, first message and settings of another agent's session
    transfer_to: Mapping[str, str] = {}  # whom the model may give the caller to, by name
    keypad: bool = False  # the model may press keys and gather them
    hold_s: float = 900.0  # a caller that nobody takes back for so long is given to the agent again

    # Limits.
    max_call_s: float = 3600.0
    idle_s: float = 300.0  # neither side said a word
    idle_prompt_s: float = 0.0  # the caller said nothing for so long: they are asked whether they are there; 0: never
    idle_prompts: int = 2  # then it ends
    warn_s: float = 0.0  # the caller is told so long before max_call_s; 0: not
    # What a caller hears when a limit or somebody else ends the call, by the name of its line; empty: nothing.
    time_up_line: str = "time_up"
    idle_line: str = "idle"
    spend_line: str = "spend"
    operator_line: str = "operator"
    session_margin_s: float = 60.0  # the spoken ending comes so long before the provider's cut
    # Seconds since 1970 when the call's clock was 0; None: a moment that the provider names says nothing.
    unix_s: float | None = None
    # A carrier sends fifty frames a second, silence included, and ends a call itself after 60 s without any
    # (32014). Longer than that means that the connection is dead and nobody has told us.
    frames_stop_s: float = 75.0
    paused_s: float = 10.0  # a peer that does not read for so long is gone

    # Ending.
    goodbye_s: float = 20.0  # a goodbye that is longer is cut
    short_bye_s: float = 1.5  # a caller's "bye, thank you" over ours; more than that is a wish to go on
    mark_grace_s: float = 1.0  # a last mark may come so late before the playback clock decides
    rest_s: float = 6.0  # the REST client's own limit is 5 s
    stop_s: float = 5.0  # stop follows a finished REST request within a second
    close_s: float = 1.0  # after the caller left both sides are closed within this time
    stream_close_s: float = 2.0  # the carrier's answer to our close: a round trip, and a slow proxy
