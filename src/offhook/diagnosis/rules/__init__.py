"""
The rules, one module each, in causal order. A module offers ``RULE`` and ``find(call)``.
"""

from offhook.diagnosis.rules import (
    bridge_exception,
    bridge_loop_blocked,
    call_control_rest_failed,
    carrier_stream_contract,
    carrier_stream_lost,
    carrier_stream_not_started,
    far_end_left_early,
    media_digital_silence,
    media_not_pcmu,
    provider_connect_failed,
    provider_session_another_model,
    provider_session_difference,
    provider_session_format,
    provider_session_lost,
    provider_session_never_ready,
    provider_session_refused,
    provider_session_rejected,
    provider_session_silent_loss,
    records_process_died,
    turns_no_answer,
    turns_response_failed,
)

__all__ = ["RULES"]

RULES = (
    carrier_stream_not_started,
    carrier_stream_contract,
    carrier_stream_lost,
    bridge_exception,
    bridge_loop_blocked,
    provider_connect_failed,
    provider_session_refused,
    provider_session_rejected,
    provider_session_never_ready,
    provider_session_format,
    provider_session_another_model,
    provider_session_difference,
    provider_session_lost,
    provider_session_silent_loss,
    media_not_pcmu,
    media_digital_silence,
    turns_response_failed,
    turns_no_answer,
    records_process_died,
    call_control_rest_failed,
    far_end_left_early,
)
