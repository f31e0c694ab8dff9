"""English claims. A kind's pattern is verbose: spaces are ``\\s``."""

HEDGES = (
    r"if|once|when|after|before|unless|until|would|could|can|cannot|can't|should|shall|may|might|not|never|yet"
    r"|have\s+i|did\s+i|want\s+me|like\s+me|let\s+me\s+know|able\s+to|try(?:ing)?\s+to|haven't|hasn't|didn't|won't|isn't"
    r"|wasn't|aren't"
)

_I_HAVE = r"(?:i(?:'ve|\s+have)(?:\s+(?:just|now|already|gone\s+ahead\s+and|successfully))*|i(?:\s+just)?)"
_IS_DONE = (
    r"(?:is|are|has\s+been|have\s+been|it's|that's|you're|you\s+are)(?:\s+(?:now|all|just|already|successfully))*"
)

CLAIMS = {
    "hang_up": r"i(?:'ll|\s+will|'m\s+going\s+to|\s+am\s+going\s+to)\s+(?:now\s+)?(?:hang\s+up|end\s+(?:the|this|our)\s+call|disconnect)"
    r"|i(?:'m|\s+am)\s+(?:now\s+)?(?:hanging\s+up|ending\s+(?:the|this|our)\s+call|disconnecting)",
    "transfer": r"i(?:'ll|\s+will|'m\s+going\s+to|\s+am\s+going\s+to)\s+(?:now\s+)?(?:transfer|connect|put)\s+you(?:\s+(?:through|over|now|to|with)|$)"
    r"|(?:i(?:'m|\s+am)\s+)?(?:now\s+)?(?:transferring|connecting|putting)\s+you"
    r"|let\s+me\s+(?:transfer|connect|put)\s+you(?:\s+(?:through|over|now|to|with)|$)",
    "look_up": r"let\s+me\s+(?:just\s+|quickly\s+)?(?:check|look)(?!\s+(?:if\s+|that\s+|whether\s+)?(?:i|we)\s+(?:have|got|understood|heard))(?!\s+with\s+you)"
    r"|i(?:'ll|\s+will)\s+(?:just\s+|quickly\s+)?(?:check|look)(?:\s+(?:that|it|this)|\s+(?:for|into|up)|$)"
    r"|i(?:'m|\s+am)\s+(?:just\s+|now\s+)?(?:checking|looking)(?:\s+(?:that|it|this|up|into)|$)"
    r"|while\s+i\s+(?:check|look)",
    "booked": rf"{_I_HAVE}\s+(?:booked|reserved|scheduled)"
    rf"|{_IS_DONE}\s+(?:booked|reserved|scheduled)(?!\s+(?:out|up|solid))"
    r"|(?:appointment|booking|reservation|table)\s+(?:is|has\s+been)\s+(?:now\s+)?confirmed",
    "sent": rf"{_I_HAVE}\s+(?:sent|e-?mailed|texted|forwarded)|(?:email|message|text|confirmation|link)\s+(?:has\s+been|was)\s+sent",
    "cancelled": rf"{_I_HAVE}\s+cancell?ed|{_IS_DONE}\s+cancell?ed",
    "changed": rf"{_I_HAVE}\s+(?:updated|rescheduled|moved|changed)\s+(?:your|the|it|that)"
    r"|(?:appointment|booking|reservation|address|order)\s+has\s+been\s+(?:updated|rescheduled|moved|changed)",
    "ordered": rf"{_I_HAVE}\s+(?:ordered|placed\s+(?:your|the|an)\s+order)|order\s+(?:has\s+been|is)\s+placed",
    "handed_on": rf"{_I_HAVE}\s+(?:dispatched|started\s+(?:the|a|that)\s+(?:task|research|search|job)|handed\s+(?:it|that|this)\s+(?:on|over))",
}

FAREWELLS = r"good[- ]?bye|bye[- ]bye|bye|farewell|have\s+a\s+(?:nice|great|good|lovely)\s+(?:day|evening|one|weekend)"
