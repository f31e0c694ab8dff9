"""What is a claim and what only looks like one, by language."""

import pytest

from offhook.claims import KINDS, LANGUAGES, claims, does, is_farewell

CLAIMED = [
    ("I've booked a table for four on Monday.", "booked"),
    ("Alright, I have just gone ahead and reserved it for you.", "booked"),
    ("Perfect. Your appointment is confirmed for ten.", "booked"),
    ("You're all booked, see you then.", "booked"),
    ("I've sent you the link.", "sent"),
    ("A confirmation email has been sent.", "sent"),
    ("I've cancelled that for you.", "cancelled"),
    ("Your appointment has been canceled.", "cancelled"),
    ("I've moved your appointment to Friday.", "changed"),
    ("I've placed your order.", "ordered"),
    ("I've started the research, and will get back to you.", "handed_on"),
    ("Goodbye. I'll hang up now.", "hang_up"),
    ("I'm ending the call now.", "hang_up"),
    ("One moment, I'm transferring you to a colleague.", "transfer"),
    ("I'll put you through now.", "transfer"),
    ("Let me check that for you.", "look_up"),
    ("One moment while I look that up.", "look_up"),
    ("I'm checking that.", "look_up"),
    ("Ich habe den Tisch für Sie gebucht.", "booked"),
    ("Ihr Termin ist jetzt eingetragen.", "booked"),
    ("Ich habe Ihnen die Bestätigung geschickt.", "sent"),
    ("Ich habe den Termin storniert.", "cancelled"),
    ("Ich verbinde Sie jetzt mit einem Kollegen.", "transfer"),
    ("Einen Moment, ich schaue das kurz nach.", "look_up"),
    ("Ich beende jetzt das Gespräch.", "hang_up"),
    ("Le he reservado una mesa para el lunes.", "booked"),
    ("Su cita está confirmada.", "booked"),
    ("Ya le he enviado el correo.", "sent"),
    ("He cancelado la reserva.", "cancelled"),
    ("Le paso con un compañero.", "transfer"),
    ("Déjeme comprobar eso.", "look_up"),
    ("Voy a colgar.", "hang_up"),
]
INNOCENT = [
    "Would you like me to book a table?", "Shall I transfer you to a colleague?", "I haven't booked anything yet.",
    "Once I've booked it I will send you a message.", "If I've sent it, you will get it in a minute.",
    "I could transfer you if you like.", "I can't hang up on you.", "Let me know when it suits you.",
    "Let me check that I have understood you.", "We are booked out on Monday.", "Have I booked the right day?",
    "You can book online.", "Please hang up and call again.", "Before I hang up I would like to ask something.",
    "When your appointment is confirmed you get an email.", "I understood Monday, is that right?",
    "What would you like to have changed?", "The table is by the window.", "I see that you have booked with us before.",
    "Möchten Sie einen Tisch reservieren?", "Ich habe noch nicht gebucht.", "Soll ich Sie verbinden?",
    "Wenn ich den Termin eingetragen habe, melde ich mich.", "Wir sind am Montag nicht ausgebucht.",
    "¿Quiere que le reserve una mesa?", "No he reservado nada todavía.", "Si he cancelado la cita se lo diré.",
    "Hello, this is the front desk. How can I help you?", "We are open from nine to five, Monday to Friday.",
    "I can offer you Tuesday at ten, or Thursday at three.", "Tuesday at ten it is. We look forward to seeing you.",
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), CLAIMED)
def test_a_claim_is_found(text: str, kind: str):
    assert kind in [claim.kind for claim in claims(text)], claims(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_like_one_is_none(text: str):
    assert not claims(text)


def test_every_language_has_every_kind_and_a_claim_has_its_words():
    for language in LANGUAGES:
        assert set(language.CLAIMS) == set(KINDS), language.__name__
    first, second = claims("I've booked it. Let me check the price.")
    assert (first.kind, first.words, first.last) == ("booked", "I've booked it.", False)
    assert (second.kind, second.last) == ("look_up", True)


def test_which_tool_makes_a_claim_true():
    assert does("hang_up", "end_call") and not does("hang_up", "book_table")
    assert does("transfer", "transfer_call") and not does("transfer", "lookup")
    assert does("booked", "create_event"), "what was not declared is judged kindly"
    assert not does("look_up", "collect_digits") and not does("booked", "transfer_call")
    assert not does("booked", "hang_up") and not does("booked", "weather", ["sent"]) and does("booked", "x", ["booked"])
    assert does("look_up", "weather", ["booked"])


@pytest.mark.parametrize(("text", "is_one"), [
    ("Thank you, goodbye!", True), ("Auf Wiederhören.", True), ("Adiós.", True), ("Have a great day!", True),
    ("The bylaws say so.", False), ("We say hello.", False),
])  # fmt: skip
def test_farewells(text: str, is_one: bool):
    assert is_farewell(text) is is_one
