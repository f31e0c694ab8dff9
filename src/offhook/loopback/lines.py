"""
What the receptionist says and what the demo's caller says: texts, and the PCMU that was rendered from them.

Knows no wire. Nothing is read before it is asked for.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["AGENT", "CALLER", "FOLDER", "NUMBERS", "audio"]

FOLDER = Path(__file__).parent / "spoken"

# The receptionist, by intent.
AGENT: Mapping[str, str] = {
    "greeting": "Hello, this is the front desk. How can I help you?",
    "hours": "We are open from nine to five, Monday to Friday.",
    "location": "We are at twelve River Street, next to the train station.",
    "services": (
        "We offer check ups, cleaning, whitening, and repairs. A check up takes half an hour. "
        "A cleaning takes forty five minutes. Whitening takes two visits, with a week between them, "
        "and for repairs we need to see you first, so please ask for an appointment."
    ),
    "appointment": "I can offer you Tuesday at ten, or Thursday at three.",
    "tuesday": "Tuesday at ten it is. We look forward to seeing you.",
    "thursday": "Thursday at three it is. We look forward to seeing you.",
    "price": "A check up costs forty dollars, and a cleaning costs sixty.",
    "time": "I have no clock here. Give me a tool that has one.",
    "try": "I have no tool that I could try.",
    "status": "Nothing was handed on, so nothing runs.",
    "cancel": "Nothing runs that I could cancel.",
    "done": "It is done.",
    "handed_on": "I have handed it on, and tell you when it is done.",
    "running": "It is not done yet.",
    "cancelled": "It was cancelled, and has stopped.",
    "did_not_work": "That did not work.",
    "parking": "There is free parking behind the building.",
    "hello": "Hello. What can I do for you?",
    "thanks": "You are very welcome. Is there anything else?",
    "goodbye": "Thank you for calling. Goodbye.",
    "unknown": ("Sorry, I did not understand. Ask for opening hours, the address, services, or prices."),
    "transfer": "One moment please. I am putting you through.",
    "back": "I am sorry, nobody answered there. Is there anything else I can do?",
    "there": "Are you still there?",
    "fixed": "I have something to tell you, but I can only say what I have learned.",
    "key": "You pressed a key. For an appointment, just say so.",
    "key_1": "You pressed one. For an appointment, just say so.",
    "key_2": "You pressed two. We are open from nine to five.",
}

# What it can say of a tool's result: its numbers, word by word.
NUMBERS: Mapping[str, str] = {
    **{f"number_{n}": word for n, word in enumerate((
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    ))},
    "number_30": "thirty", "number_40": "forty", "number_50": "fifty",
}  # fmt: skip

# The demo's caller.
CALLER: Mapping[str, str] = {
    "caller_hours": "What are your opening hours?",
    "caller_location": "Where are you located?",
    "caller_services": "What services do you offer?",
    "caller_price": "How much does a check up cost?",
    "caller_nonsense": "My purple elephant ate the umbrella.",
    "caller_appointment": "I would like to make an appointment.",
    "caller_thanks": "Thank you very much.",
    "caller_goodbye": "Goodbye.",
    "caller_transfer": "Please put me through to a person.",
    "callee_hello": "Hello?",
}


@cache
def audio(name: str) -> bytes:
    """A line as PCMU bytes."""
    return (FOLDER / f"{name}.ulaw").read_bytes()
