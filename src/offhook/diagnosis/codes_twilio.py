"""
Twilio's error codes of voice and media streams: name, boundary, usual cause, what to look at, what it hides.

Source: Twilio's error dictionary and its pages (twilio.com/docs/api/errors), and public reports of users.
"""

from offhook.wires._wire import Fact

__all__ = ["RANGES", "TWILIO"]

Row = tuple[str, str, str, str, str]
_DOWN = "nothing in the server's log: no request arrived"
_WELL = "the server's log shows a good request"
_ONCE = "logged once a stream, without a field; the call stays up and the caller hears silence"
_NONE = "it is a consequence as long as anything earlier was found"

TWILIO: Fact[dict[str, Row]] = Fact(
    {
        "31900": ("unknown stream error", "carrier-stream", "on the carrier's side", "whether it repeats", _NONE),
        "31901": ("stream: no answer", "carrier-stream", "wrong host, closed firewall, a tunnel that sleeps, or an upgrade that is answered after seconds", "the stream's URL; time to accept", _DOWN),
        "31902": ("stream: refused", "carrier-stream", "nothing listens on that port", "the port in the stream's URL", _DOWN),
        "31903": ("stream: broken pipe", "carrier-stream", "the connection vanished while it was used: crash, deploy, a proxy's timer", "exceptions and restarts of that second; ages of several calls", "a crash of ours looks like the network"),
        "31904": ("stream: host unreachable", "carrier-stream", "a name that does not resolve, or a private address", "the host in the stream's URL", _DOWN),
        "31910": ("stream: TLS failed", "carrier-stream", "plain ws behind wss, the wrong port, or a certificate that is not trusted", "certificate, chain, port", _DOWN),
        "31920": ("stream: handshake failed", "carrier-stream", "the answer to the upgrade was not 101: path, authentication, a proxy without Upgrade, a failure before the accept", "the status the server wrote, and what failed before it", "unknown paths answer 403 in many servers; a provider's failure becomes 500"),
        "31921": ("stream: closed by the server", "carrier-stream", "the server closed, on purpose or not", "who decided the end, and why", "it is logged for every wanted end as well"),
        "31922": ("stream: scheme not supported", "webhook", "the stream's URL is not wss", "the TwiML", _WELL),
        "31923": ("stream: malformed URL", "webhook", "the stream's URL cannot be parsed", "the TwiML", _WELL),
        "31924": ("stream: protocol error", "carrier-stream", "a frame that breaks RFC 6455, or anything sent on a <Start> stream", "the verb; the server's WebSocket library", "it may be the verb, not the frame"),
        "31930": ("stream: buffer overflow", "carrier-stream", "the server does not read fast enough, and caller audio is dropped", "what blocked the process", "the model seems to mishear"),
        "31931": ("stream: media discarded", "carrier-stream", "more than ten minutes of audio wait to be played", "pacing, clear", "nothing is said below ten minutes"),
        "31940": ("stream: connector name", "webhook", "an unknown connectorName", "the TwiML", _WELL),
        "31941": ("stream: track", "webhook", "another track than inbound_track under <Connect>", "the TwiML's track", _WELL),
        "31942": ("stream: connector configuration", "webhook", "a connector that is not set up", "the TwiML", _WELL),
        "31950": ("stream: malformed message", "carrier-stream", "binary, or no JSON", "the serializer", _ONCE),
        "31951": ("stream: invalid message", "carrier-stream", "an unknown event, or a field that is missing, misspelt or of another stream", "every message to the carrier, by field", _ONCE),
        "31952": ("stream: extension", "webhook", "an extension that does not exist", "the TwiML", _WELL),
        "31960": ("stream: quota", "carrier-stream", "a connector's quota", "the connector's account", _NONE),
        "11100": ("URL format", "webhook", "a URL that cannot be parsed", "the number's webhook", _DOWN),
        "11200": ("webhook failed", "webhook", "a status of 4xx or 5xx, or no answer in time", "status and time of the request; the signature", "the reason is in the answer, which nobody reads"),
        "11201": ("webhook: TCP timed out", "webhook", "a firewall, or a host that is down", "the way from the internet to the port", _DOWN),
        "11202": ("webhook: TCP refused", "webhook", "nothing listens on that port", "port and proxy", _DOWN),
        "11203": ("webhook: too slow in all", "webhook", "a cold start, or a provider that is dialled before the answer", "time of the answer", _WELL),
        "11205": ("webhook: connection failed", "webhook", "a tunnel that is down, or an answer that never came", "tunnel; time of the answer", _WELL),
        "11206": ("webhook: HTTP violation", "webhook", "plain HTTP on the TLS port, or a bad header", "port and proxy", _DOWN),
        "11210": ("webhook: host name", "webhook", "a name that does not resolve: a tunnel of yesterday", "the number's webhook", _DOWN),
        "11215": ("webhook: redirects", "webhook", "redirects in a loop", "scheme and slash of the number's webhook", _WELL),
        "11220": ("webhook: TLS", "webhook", "an old protocol, or a self-signed certificate", "certificate", "browsers may accept it"),
        "11235": ("certificate: other name", "webhook", "the certificate is for another host", "certificate", "browsers may accept it"),
        "11236": ("certificate: expired", "webhook", "the renewal failed", "certificate", _DOWN),
        "11237": ("certificate: no chain", "webhook", "the intermediate is not sent", "full chain", "browsers complete it"),
        "11242": ("interconnect", "webhook", "a private connection that is not allowed", "account", _NONE),
        "11251": ("webhook: protocol violation", "webhook", "an answer that is no HTTP", "proxy", _DOWN),
        "11750": ("TwiML too large", "webhook", "over 64 kB", "parameters", _WELL),
        "11770": ("empty answer", "webhook", "no body", "the handler's return", _WELL),
        "12100": ("TwiML: not well-formed", "webhook", "a raw &, text before the declaration, or an error page", "the bytes that were sent", _WELL),
        "12101": ("TwiML: XML version", "webhook", "another XML version", "the declaration", _WELL),
        "12102": ("TwiML: root element", "webhook", "the root is not Response", "the document", _WELL),
        "12200": ("TwiML: schema", "webhook", "a misspelt or wrongly cased verb or attribute; the element is left out", "case of every name", "only a warning, and the call goes on without the verb"),
        "12300": ("TwiML: content type", "webhook", "JSON, or none", "Content-Type", _WELL),
        "12400": ("internal failure", "webhook", "on the carrier's side", "whether it repeats", _NONE),
        "13227": ("no permission for this country", "call-control", "geographic permissions", "the account's settings", _NONE),
        "13254": ("SIP name", "call-control", "a SIP host that does not resolve or is private", "the SIP URI", _NONE),
        "15003": ("status callback failed", "webhook", "the callback's URL answers with an error", "that URL", "the call itself is well"),
        "15004": ("action must be absolute", "webhook", "a relative URL in TwiML that was given by REST", "the TwiML", _NONE),
        "10001": ("account inactive", "call-control", "suspended or closed", "account, balance", _NONE),
        "10002": ("not for trial accounts", "call-control", "a feature of paid accounts", "account", _NONE),
        "10003": ("incoming call rejected", "call-control", "account or number", "account", _DOWN),
        "10004": ("too many calls", "call-control", "the account's concurrency", "calls at once", "other calls are well"),
        "20003": ("authentication", "call-control", "SID and token do not belong together", "account SID, token, region", _NONE),
        "20404": ("not found", "call-control", "the call is over, or is another account's", "status of the call", "harmless at a hang-up"),
        "20429": ("too many requests", "call-control", "more requests a second than the account may make", "how fast calls are placed", "other calls are well"),
        "21201": ("no number to call", "call-control", "To is missing", "the request", _NONE),
        "21212": ("caller id invalid", "call-control", "From is no E.164 number", "outbound.from", _NONE),
        "21213": ("no caller id", "call-control", "From is missing", "outbound.from", _NONE),
        "21214": ("number cannot be reached", "call-control", "a number that no network carries to", "To", _NONE),
        "21217": ("number not valid", "call-control", "a number that does not exist", "To", _NONE),
        "21262": ("machine detection", "call-control", "MachineDetection has another value than Enable or DetectMessageEnd", "the request", _NONE),
        "21263": ("machine detection timeout", "call-control", "MachineDetectionTimeout is no number of seconds that is allowed", "the request", _NONE),
        "21205": ("webhook URL", "call-control", "a URL that nobody reaches from outside", "public URL", _NONE),
        "21210": ("caller id not verified", "call-control", "From is no number of this account", "From", _NONE),
        "21211": ("number invalid", "call-control", "To is no E.164 number", "To", _NONE),
        "21215": ("country not allowed", "call-control", "geographic permissions", "the account's settings", _NONE),
        "21216": ("number blocked", "call-control", "a number that may not be called", "To", _NONE),
        "21219": ("number not verified", "call-control", "a trial account calls verified numbers only", "account", _NONE),
        "21220": ("call not in progress", "call-control", "it has ended already", "status of the call", "harmless at a hang-up"),
        "32014": ("no audio, call ended", "call-control", "a minute without any packets", "the phone's side", "it looks like our end"),
        "32015": ("maximum duration", "call-control", "the call reached its time limit", "TimeLimit", "it looks like a crash"),
        "32016": ("PSTN delay", "call-control", "the other network did not answer", "whether it repeats", _NONE),
        "32017": ("caller id blocked", "call-control", "the other network blocks this number", "reputation of the number", _NONE),
        "32018": ("TwiML too long in REST", "call-control", "more than 4,000 characters", "parameters; use a URL", _NONE),
        "32019": ("Url and Twiml", "call-control", "both were given", "the request", _NONE),
        "32021": ("STIR failed", "call-control", "the caller id could not be verified", "the number", _NONE),
        "32022": ("SIP ACK missing", "call-control", "the other side of a SIP leg", "that side", _NONE),
    },
    "twilio.com/docs/api/errors",
    "2026-11-22",
)  # fmt: skip

# Codes of one kind that differ only in the attribute that they name.
RANGES: Fact[tuple[tuple[int, int, Row], ...]] = Fact(
    (
        (11240, 11243, ("webhook URL's fragment", "webhook", "an override behind the '#' of the URL", "the number's webhook", _NONE)),
        (11300, 11320, ("URL template", "webhook", "a template in the URL", "the number's webhook", _NONE)),
        (13201, 13299, ("verb of a dialled leg", "webhook", "an attribute of Dial, Number, Conference or Sip", "the TwiML; the code's page names it", _WELL)),
        (13300, 13999, ("verb's attribute", "webhook", "an attribute of Gather, Play, Say, Record, Redirect or Pause", "the TwiML; the code's page names it", _WELL)),
        (15000, 15099, ("call progress", "call-control", "on the carrier's side", "whether it repeats", _NONE)),
    ),
    "twilio.com/docs/api/errors",
    "2026-11-22",
)  # fmt: skip
