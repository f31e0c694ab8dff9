"""
How well the receptionist's ear tells its phrases from other sentences, over several synthetic voices.

    python tools/calibrate_ear.py        (needs flite)

Prints, for a range of thresholds, how many known phrases would be refused and how many strange sentences
accepted. ``SURE`` in ``offhook/loopback/ear.py`` was chosen from its table.
"""

import sys

from render_lines import dress, speak

from offhook.loopback.ear import Ear, Heard
from offhook.loopback.grammar import PHRASES, intent_of

VOICES = ("rms", "awb", "kal16", "slt")
STRANGE = (
    "My purple elephant ate the umbrella.", "The quick brown fox jumps over the lazy dog.",
    "I would like a large pizza with mushrooms.", "Can you tell me who won the game last night?",
    "My computer does not start any more.", "Please transfer four hundred dollars to my sister.",
    "What is the weather going to be like tomorrow?", "I lost my suitcase at the airport.",
    "Do you know a good restaurant around here?", "The train to the city was late again.",
    "She sells sea shells by the sea shore.", "We need twelve eggs and a pound of butter.",
)  # fmt: skip


def hear(ear: Ear, audio: bytes) -> Heard | None:
    ear.reset()
    line = b"\xff" * 1600 + audio + b"\xff" * 6400
    found = [x for i in range(0, len(line), 160) for x in ear.push(line[i : i + 160])]
    return next((x for x in found if isinstance(x, Heard)), None)


def main() -> None:
    ear = Ear()
    right: list[float] = []
    wrong = 0
    strange: list[float] = []
    for voice in VOICES:
        for intent, phrases in PHRASES.items():
            for phrase in phrases:
                text = phrase.split("[")[0].strip()
                if len(text.split()) < 1:
                    continue
                heard = hear(ear, dress(speak(text + ".", voice), 1))
                if heard is None or intent_of(heard.words) != intent:
                    wrong += 1
                    sys.stdout.write(
                        f"misheard {voice}: {text!r} as {heard and heard.words!r} {heard and heard.score:.5f}\n"
                    )
                else:
                    right.append(heard.score)
        for text in STRANGE:
            heard = hear(ear, dress(speak(text, voice), 1))
            if heard is not None:
                strange.append(heard.score)
    sys.stdout.write(f"{len(right)} understood, {wrong} misheard, {len(strange)} strange\n")
    for threshold in [x * 1e-4 for x in (-10, -9, -8, -7, -6, -5, -4, -3.5, -3, -2)]:
        refused = sum(score < threshold for score in right) / len(right)
        accepted = sum(score >= threshold for score in strange) / len(strange)
        sys.stdout.write(f"{threshold:8.1e}: refuses {refused:5.1%} of its phrases, accepts {accepted:5.1%} strange\n")


if __name__ == "__main__":
    main()
