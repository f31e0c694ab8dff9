"""The transcript: ordered by audio, each thing once, and only what was heard."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.kit import agent, caller, note

from offhook.evidence.record import Recording
from offhook.evidence.transcript import plain, transcript

END = {"k": "end", "t": 60_000.0}


def call(*lines: dict[str, Any], **end: Any) -> Recording:
    import msgspec

    begin = {"k": "begin", "t": 0.0, "version": 1, "call": "CA1"}
    return Recording.parse(msgspec.json.encode(line) for line in (begin, *lines, {**END, **end}))


def message(at: float, kind: str, ch: int = 2, **data: Any) -> dict[str, Any]:
    return {"k": "msg", "t": at, "ch": ch, "bytes": 1, "m": {"type": kind, **data}}


def spoke(item: str, begin: float, end: float) -> list[dict[str, Any]]:
    """The provider tells of a turn 300 ms late, with its positions in the audio that it got."""
    return [
        message(begin + 300, "input_audio_buffer.speech_started", item_id=item, audio_start_ms=begin),
        message(end + 300, "input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=end),
    ]


FIRST = note("milestone", 0.0, id="M7")


def said(recording: Recording) -> list[tuple[str, str]]:
    return [(turn.who, plain(turn)) for turn in transcript(recording)]


def test_turns_stand_in_the_order_of_their_audio_not_of_their_texts():
    recording = call(
        FIRST, *spoke("c1", 1000, 2000), agent("It is ten.", "i1", 2600.0), caller("what time is it", "c1", 3500.0),
        spoken={"i1": [2500, 900, 900]},
    )  # fmt: skip
    turns = transcript(recording)
    assert [(turn.who, turn.at_ms) for turn in turns] == [("caller", 1000.0), ("agent", 2500.0)]
    assert turns[0].end_ms == 2000.0 and turns[1].end_ms == 3400.0


def test_a_position_that_cannot_be_is_not_believed():
    late = message(9000.0, "input_audio_buffer.speech_started", item_id="c1", audio_start_ms=100)
    early = message(400.0, "input_audio_buffer.speech_started", item_id="c2", audio_start_ms=30_000)
    turns = transcript(call(FIRST, early, late, caller("a", "c1", 9500.0), caller("b", "c2", 900.0)))
    assert [(turn.text, turn.at_ms) for turn in turns] == [("b", 400.0), ("a", 9000.0)]


def test_a_transcript_that_grows_and_repeats_is_one_turn():
    recording = call(
        FIRST, *spoke("c1", 100, 900), caller("I would", "c1", 500.0), caller("I would like a table", "c1", 1000.0),
        caller("I would like a table", "c1", 1100.0), caller("I would like", "c1", 1200.0),
    )  # fmt: skip
    assert said(recording) == [("caller", "I would like a table")]


def test_a_corrected_transcript_replaces_the_first():
    assert said(call(caller("two four", "c1", 1.0), caller("to Florence", "c1", 2.0))) == [("caller", "to Florence")]


def test_words_that_were_never_heard_are_struck_at_a_word():
    recording = call(
        agent("We offer check ups, cleaning and repairs.", "i1", 100.0),
        note("barge-in", 1900.0, item="i1", heard_ms=1800, sent_ms=4000),
    )
    agents = [turn for turn in transcript(recording) if turn.who == "agent"]
    assert plain(agents[0]) == "We offer check ~~ups, cleaning and repairs.~~" and agents[0].estimated
    assert (agents[0].heard_ms, agents[0].ms) == (1800, 4000)


def test_what_was_not_heard_at_all_is_struck_whole_and_is_no_estimate():
    (turn,) = transcript(call(agent("Good bye.", "i1", 100.0), spoken={"i1": [100, 900, 0]}))
    assert plain(turn) == "~~Good bye.~~" and turn.heard == "" and not turn.estimated


def test_what_was_being_said_when_the_call_ended_is_kept_and_marked():
    partials = [{"who": "agent", "item": "i9", "text": "Let me ju"}, {"who": "caller", "item": "c9", "text": "wait"}]
    turns = transcript(call(FIRST, *spoke("c9", 58_000, 59_000), partials=partials, spoken={"i9": [57_000, 400, 400]}))
    assert [(turn.who, turn.text, turn.final) for turn in turns] == [
        ("agent", "Let me ju", False), ("caller", "wait", False),
    ]  # fmt: skip


def test_a_partial_never_replaces_a_whole_text():
    rows = [{"who": "caller", "item": "c1", "text": "I wo"}, {"who": "agent", "item": "i1", "text": "Ye"}]
    recording = call(caller("I would", "c1", 1.0), agent("Yes.", "i1", 2.0), partials=rows)
    assert said(recording) == [("caller", "I would"), ("agent", "Yes.")]


def test_a_turn_without_a_text_is_a_turn():
    assert said(call(FIRST, *spoke("c1", 100, 900))) == [("caller", "")]


def test_tools_keys_and_acts_stand_between_the_words_and_keys_are_masked():
    recording = call(
        agent("Let me look.", "i1", 100.0), note("tool", 200.0, id="t1", name="look_up", args_ok=False),
        note("key", 250.0, digit="•"), note("tool.done", 900.0, id="t1", name="look_up", outcome="timeout", ms=700),
        note("recording.paused", 950.0, why="keys"), note("milestone", 960.0, id="M9"),
        note("job", 965.0, id="j1", name="find", state="queued"),
        note("job", 966.0, id="j1", name="find", state="done", outcome="ok", result="Tuesday", detail="stderr: x"),
        note("hold", 970.0, on=True), note("mute", 980.0, who="caller", on=False),
        note("keys.pressed", 981.0, n=12), note("keys.gathered", 982.0, n=1),
    )  # fmt: skip
    assert said(recording) == [
        ("agent", "Let me look."), ("tool", "look_up called, with arguments that are no JSON"), ("act", "key: •"),
        ("tool", "look_up: timeout after 700 ms"), ("act", "recording.paused: keys"),
        ("act", "job j1 find: queued"), ("act", "job j1 find: done, ok: Tuesday"), ("act", "hold: on"),
        ("act", "mute: caller off"), ("act", "12 keys pressed"), ("act", "1 key gathered"),
    ]  # fmt: skip


def test_what_is_written_stands_before_its_answer_of_the_same_moment():
    spoken = {"i1": [9411, 400, 400]}  # counted from when the stream was up
    lines = (note("milestone", 4.0, id="M5"), note("typed", 9415.3, text="Four?"), agent("Four.", "i1", 9415.4))
    recording = call(*lines, spoken=spoken)
    assert said(recording) == [("caller", "Four?"), ("agent", "Four.")]


def test_languages_are_the_providers_own_word_or_what_was_asked_for():
    asked = {"session": {"audio": {"input": {"transcription": {"model": "m", "language": "de"}}}}}
    told = caller("bonjour", "c2", 5.0)
    told["m"]["language"] = "fr"
    turns = transcript(call(message(0.0, "session.update", ch=3, **asked), caller("hallo", "c1", 1.0), told))
    assert [turn.language for turn in turns] == ["de", "fr"]


WORDS = st.text(alphabet="ab éü,.\n~", min_size=0, max_size=40)
TIMES = st.floats(min_value=0, max_value=60_000, allow_nan=False)
ITEMS = st.sampled_from(["x1", "x2", "x3", ""])
LINES = st.one_of(
    st.builds(caller, WORDS, ITEMS, TIMES),
    st.builds(agent, WORDS, ITEMS, TIMES, ITEMS),
    st.builds(lambda item, at: spoke(item, at, at + 500)[0], ITEMS, TIMES),
    st.builds(lambda item, at, heard, sent: note("unheard", at, item=item, heard_ms=heard, sent_ms=sent),
              ITEMS, TIMES, st.integers(-10, 9000), st.integers(0, 9000)),
    st.builds(lambda at, odd: message(at, "response.created", response=odd), TIMES, st.sampled_from([None, 3, [], {}])),
    st.builds(lambda at, odd: message(at, "session.update", ch=3, session=odd), TIMES,
              st.sampled_from([None, {"audio": 3}, {"audio": {"input": []}}])),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=12), st.dictionaries(ITEMS, st.lists(st.integers(-5, 9000), max_size=4)))
def test_whatever_a_record_holds_each_word_stands_once_and_in_order(lines, spoken):
    recording = call(*lines, spoken=spoken)
    turns = transcript(recording)
    assert [turn.at_ms for turn in turns] == sorted(turn.at_ms for turn in turns)
    keys = [(turn.who, turn.item) for turn in turns if turn.who in ("caller", "agent")]
    assert len(keys) == len(set(keys))
    for turn in turns:
        if turn.who == "agent":  # heard and struck are the text, cut between two words
            assert re.sub(r"\s+", "", turn.heard + turn.struck) == re.sub(r"\s+", "", turn.text)
            assert turn.text.startswith(turn.heard)
            assert not turn.struck or not turn.heard or turn.text[len(turn.heard)].isspace()
    assert transcript(recording) == turns


def test_an_item_whose_playing_is_not_on_record_begins_with_its_response():
    recording = call(message(500.0, "response.created", response={"id": "r1"}), agent("Hello.", "i1", 1900.0, "r1"))
    assert [turn.at_ms for turn in transcript(recording)] == [500.0]
