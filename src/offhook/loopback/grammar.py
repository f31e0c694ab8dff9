"""
What the receptionist can understand: about sixty phrases, each with its intent. Knows no audio and no wire.
"""

from collections.abc import Mapping

__all__ = ["JSGF", "PHRASES", "intent_of"]

# intent -> phrases; brackets hold what may be left out
PHRASES: Mapping[str, tuple[str, ...]] = {
    "hours": (
        "what are your [opening] hours", "when are you open", "when do you open", "when do you close",
        "are you open [today|tomorrow|on monday|on saturday]", "what time do you open", "opening hours",
    ),
    "location": (
        "where are you [located]", "what is your address", "how do i get there", "where is your office",
        "your address please",
    ),
    "services": (
        "what services do you offer", "what do you offer", "what can you do", "which services do you have",
        "tell me about your services",
    ),
    "appointment": (
        "i would like to make an appointment", "i want an appointment", "i need an appointment",
        "can i make an appointment", "book an appointment [please]", "i would like to book an appointment",
    ),
    "tuesday": ("tuesday [please]", "tuesday at ten [please]", "i will take tuesday"),
    "thursday": ("thursday [please]", "thursday at three [please]", "i will take thursday"),
    "price": (
        "how much does a check up cost", "how much does it cost", "how much is a cleaning",
        "what are your prices", "what does a cleaning cost", "how much does a cleaning cost",
    ),
    "time": ("what time is it [please]", "do you know what time it is", "what is the time"),
    "try": ("try the tool [please]", "please use your tool"),
    "status": ("how far is the job", "is the job done [yet]", "how is the job going"),
    "cancel": ("cancel the job [please]", "please stop the job"),
    "parking": ("is there parking", "where can i park", "do you have parking"),
    "transfer": (
        "please put me through [to a person]", "put me through to a person", "transfer me [please]",
        "can i speak to a person", "i want to speak to a person", "please connect me",
    ),
    "hello": ("hello", "hi there", "good morning", "good afternoon", "good evening"),
    "thanks": ("thank you [very much]", "thanks [a lot]", "that is great thank you"),
    "goodbye": (
        "goodbye", "good bye", "bye bye", "please hang up", "that is all [thank you]", "thank you goodbye",
        "you can hang up now", "thanks bye",
    ),
}  # fmt: skip


def _jsgf() -> str:
    rules = []
    names = []
    for intent, phrases in PHRASES.items():
        rules.append(f"<{intent}> = {' | '.join(phrases)};")
        names.append(f"<{intent}>")
    return "#JSGF V1.0;\ngrammar desk;\npublic <desk> = " + " | ".join(names) + ";\n" + "\n".join(rules) + "\n"


JSGF = _jsgf()


def _expand(phrase: str) -> list[str]:
    """Every wording of a phrase with its optional part."""
    head, bracket, rest = phrase.partition("[")
    if not bracket:
        return [" ".join(phrase.split())]
    options, _, tail = rest.partition("]")
    return [" ".join(f"{head} {option} {tail}".split()) for option in ("", *options.split("|"))]


_INTENTS: Mapping[str, str] = {
    wording: intent for intent, phrases in PHRASES.items() for phrase in phrases for wording in _expand(phrase)
}


def intent_of(words: str) -> str | None:
    """The intent of recognised words; None when no phrase has these words."""
    return _INTENTS.get(" ".join(words.lower().split()))
