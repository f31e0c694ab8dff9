"""Every setting that there is, in the order in which ``offhook config`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from offhook.settings.spec import Secret, Spec

__all__ = ["AGENT", "ALIASES", "FALLS_TO", "SPECS", "TABLES", "Table"]

ALIASES = {"grok": "xai"}

# What [agent] and each [agents.NAME] may say.
_AGENT: tuple[Spec, ...] = (
    Spec("instructions", str, "", "what the agent is told; {{caller_number}} and the like are filled in"),
    Spec("instructions_file", str, "", "a file instead; relative to offhook.toml"),
    Spec("files", tuple, (), "more files that the agent is told, in this order"),
    Spec("workspace", str, "", "a folder with ABOUT.md, or a gptme.toml that lists the files of its prompt"),
    Spec("max_prompt_chars", int, 32_000, "size of all that it is told; what matters least is cut", least=200),
    Spec("greeting", str, "", "said first, word for word; empty: the caller speaks first"),
    Spec("greeting_outbound", str, "", "said first when we called; empty: whoever answered speaks first"),
    Spec("greeting_resumed", str, "", "said first to a caller who was cut off (see resume_s); empty: the greeting"),
    Spec("language", str, "", "the caller's language as ISO 639-1, to help recognition"),
    Spec("languages", tuple, (), "languages the agent speaks, the first unless the caller speaks another"),
    Spec("hang_up", bool, True, "the agent may end the call"),
    Spec("transfer_to", tuple, (), 'whom the agent may give a caller to: "sales = +15550100077", or a sip: URI'),
    Spec("keypad", bool, False, "the agent may press keys, and gather what the caller presses"),
    Spec("unmet", str, "nudge", "it says it did what no tool was called for: note it, nudge it, or act: hang up for it",
         choices=("note", "nudge", "act")),
    Spec("tools", tuple, ("*",), "of those in [tools]: by name, NAME_* for several, * for all, none for none"),
    Spec("allow", tuple, (), "only callers with these numbers, and only if the carrier vouches for the number"),
    Spec("deny", tuple, (), "callers with these numbers are not answered, vouched for or not"),
    Spec("refused_say", str, "This number does not take your call. Goodbye.", "what a caller who is not let in hears"),
    Spec("lookup_file", str, "", "who is calling: a JSON, TOML or CSV file of people by number"),
    Spec("lookup_url", str, "", "who is calling: an address that answers with JSON; {number} is filled in"),
    Spec("lookup_token", Secret, Secret(""), "its bearer token, as env:NAME in a file"),
    Spec("lookup_private", bool, False, "lookup_url may lie in a private network"),
    Spec("lookup_function", str, "", "who is calling: FILE.py:NAME or MODULE:NAME"),
    Spec("lookup_s", float, 2.0, "then the call goes on without knowing", least=0.05, most=10),
    Spec("resume_s", float, 0.0, "a verified caller who was cut off goes on within; 0: never", least=0, most=86_400),
)  # fmt: skip
# What [agents.NAME] may say besides; unset it is what the whole server is set to.
_OWN: tuple[Spec, ...] = (
    Spec("provider", str, "", "openai, xai (or grok), or loopback"),
    Spec("model", str, "", "the model"),
    Spec("voice", str, "", "the voice"),
    Spec("url", str, "", "another endpoint of the provider"),
    Spec("allow_unlisted", bool, False, "take a model or voice that Offhook does not know"),
    Spec("fallback_say", str, "", "what the carrier says when this agent cannot be reached"),
    Spec("failure_policy", str, "say", "say, or fall_through", choices=("say", "fall_through")),
    Spec("max_call_s", float, 3600.0, "length of a call", least=1),
    Spec("idle_s", float, 300.0, "a call in which nobody says a word ends after", least=1),
    Spec("idle_prompt_s", float, 60.0, "a caller who says nothing is asked whether they are there; 0: never", least=0),
    Spec("idle_prompts", int, 2, "so often; then the call ends", least=0),
    Spec("warn_s", float, 60.0, "the caller is told so long before max_call_s is over; 0: not", least=0),
    Spec("time_up_line", str, "time_up", "said at the end of max_call_s: a spoken line or a WAV of record.lines_dir, "
         "by name; empty: nothing"),
    Spec("idle_line", str, "idle", "the same to a caller who says nothing"),
    Spec("spend_line", str, "spend", "the same at a spend cap"),
    Spec("operator_line", str, "operator", "the same when an operator, the API or a tool ends the call"),
)  # fmt: skip
FALLS_TO: Mapping[str, str] = {
    **{field.name: f"agent.{field.name}" for field in _AGENT},
    **{name: f"provider.{name}" for name in ("model", "voice", "url", "allow_unlisted")},
    "provider": "provider.name",
    "fallback_say": "carrier.fallback_say",
    "failure_policy": "failure.policy",
    "max_call_s": "limits.max_call_s",
    "idle_s": "limits.idle_s",
    "idle_prompt_s": "limits.idle_prompt_s",
    "idle_prompts": "limits.idle_prompts",
    "warn_s": "limits.warn_s",
    **{f"{end}_line": f"limits.{end}_line" for end in ("time_up", "idle", "spend", "operator")},
}
AGENT = (*_OWN, *_AGENT)

# What [tools.NAME] may say; what kind of tool it is stands in one of the first five.
_TOOL: tuple[Spec, ...] = (
    Spec("python", str, "", "FILE.py:FUNCTION, or FILE.py for all that @tool marks in it, or MODULE:FUNCTION"),
    Spec("url", str, "", "an HTTP endpoint; {name} stands for an argument"),
    Spec("mcp", list, (), "an MCP server: https://… (streamable HTTP), or the command that speaks it"),
    Spec("command", list, (), "a delegate: a program for a longer task, while the call goes on"),
    Spec("gptme", bool, False, "a delegate: gptme, non-interactive"),
    Spec("description", str, "", "what the model is told of it"),
    Spec("parameters", dict, {}, 'arguments: name = "type: words", or {type, description, choices, optional}'),
    Spec("method", str, "", "of url; empty: GET, which only reads",
         choices=("", "GET", "POST", "PUT", "PATCH", "DELETE")),
    Spec("headers", dict, {}, "sent with every request; {env:NAME} stands for a secret"),
    Spec("allow", tuple, (), "private hosts, addresses or networks that url or mcp may lie in"),
    Spec("oauth_client_id", str, "", "of an MCP server behind OAuth (client credentials)"),
    Spec("oauth_secret", Secret, Secret(""), "its secret, as env:NAME"),
    Spec("oauth_issuer", str, "", "the authorization server that these belong to"),
    Spec("oauth_scope", str, "", "what is asked for there"),
    Spec("only", tuple, (), "of an MCP server or a file: only these tools"),
    Spec("env", dict, {}, "more variables of a command; {env:NAME} stands for a secret"),
    Spec("cwd", str, "", "where a command runs; relative to offhook.toml"),
    Spec("stdin", str, "", "what a delegate reads: nothing, its task, or all as JSON", choices=("", "task", "json")),
    Spec("model", str, "", "of gptme"),
    Spec("after_call", str, "keep", "a delegate when the caller hangs up: keep its result, or cancel it",
         choices=("keep", "cancel")),
    Spec("deadline_s", float, 0.0, "then the model is answered without it; 0: 20, of a delegate or a job 300", least=0),
    Spec("filler", str, "cue", "what a waiting caller hears: cue, a WAV of record.lines_dir, say:TEXT, or nothing"),
    Spec("filler_ms", int, 1500, "after so much silence", least=0),
    Spec("changes", bool, True, "false: it only reads, and may be retried, repeated and run in tests"),
    Spec("idempotent", bool, False, "it changes something, but twice is as once: it may be retried"),
    Spec("retries", int, 0, "of a failure, within the deadline", least=0, most=5),
    Spec("repeat_s", float, 10.0, "the same call again within this time after the first gets its result", least=0),
    Spec("max_parallel", int, 16, "runs at once", least=1),
    Spec("max_chars", int, 8000, "size of a result; the model is told of a cut", least=100),
    Spec("background", bool, False, "the model gets a receipt at once, and the result when it is there"),
    Spec("does", tuple, (), "what the agent may say it did when this has run: booked, sent, cancelled, …"),
    Spec("dry_run", str, "", "what is answered in tests, where nothing may be changed"),
)  # fmt: skip

# What [hooks.NAME] may say; what kind of hook it is stands in one of the first three.
_HOOK: tuple[Spec, ...] = (
    Spec("url", str, "", "a webhook: the call is sent there by POST, signed"),
    Spec("command", list, (), "a program: the call is on its standard input and in the file OFFHOOK_PAYLOAD"),
    Spec("gptme_server", str, "", "a gptme server, to whose conversation with the caller the transcript is added"),
    Spec("events", tuple, ("call.ended", "call.died"),
         "call.ended, call.died with its server, call.broken (by the verdict)"),
    Spec("agents", tuple, (), "only calls of these agents"),
    Spec("secret", Secret, Secret(""), "signs a webhook, as env:NAME; of a gptme server its bearer token"),
    Spec("headers", dict, {}, "sent with every request; {env:NAME} stands for a secret"),
    Spec("allow", tuple, (), "private hosts, addresses or networks that url may lie in"),
    Spec("numbers", bool, False, "phone numbers in full (with store.numbers); else masked"),
    Spec("redact", bool, True, "take out of what was said what redact.patterns finds"),
    Spec("delay_s", float, 0.0, "how long after the call", least=0),
    Spec("deadline_s", float, 0.0, "of one try; 0: 20, of a command 300", least=0),
    Spec("retries", int, -1, "of what failed; -1: 8 over ten hours, of a command none", least=-1, most=50),
    Spec("idempotent", bool, False, "a command whose end nobody saw (the server died) may be started again"),
    Spec("env", dict, {}, "more variables of a command; {env:NAME} stands for a secret"),
    Spec("cwd", str, "", "where a command runs; relative to offhook.toml"),
    Spec("gptme", bool, False, "the command gets its call as gptme-voice archived it, and that one's variables"),
    Spec("archive_dir", str, "", "where those archives go; empty: gptme-archive beside the records"),
)  # fmt: skip

_ROUTE: tuple[Spec, ...] = (
    Spec("agent", str, "", "the agent that answers"),
    Spec("number", str, "*", "our number that is called (outbound: that calls); * at the end stands for the rest"),
    Spec("direction", str, "any", "inbound, outbound or any", choices=("inbound", "outbound", "any")),
    Spec("hours", str, "", "as 09:00-17:00; over midnight too; several with a comma"),
    Spec("days", str, "", "as mon-fri or sat,sun; of a span over midnight, the day it begins"),
    Spec("zone", str, "", "the hours' time zone, as Europe/Oslo"),
)


@dataclass(frozen=True)
class Table:
    """A kind of section that may come more than once: [NAME.ONE], or [[NAME]] in order."""

    name: str
    named: bool
    fields: tuple[Spec, ...]
    help: str


TABLES: tuple[Table, ...] = (
    Table("agents", True, AGENT, "an agent; what it does not say it has from [agent] and the other sections"),
    Table("tools", True, _TOOL, "something that agents can do"),
    Table("hooks", True, _HOOK, "something that happens after a call (docs/hooks.md)"),
    Table("route", False, _ROUTE, "who answers; the first that fits. Where none fits the agent of [agent] answers"),
)

SPECS: tuple[Spec, ...] = (
    Spec("provider.name", str, "", "openai, xai (or grok), or loopback; there is no default"),
    Spec("provider.model", str, "", "the model; empty: the provider's current one"),
    Spec("provider.voice", str, "", "the voice; empty: the provider's default"),
    Spec("provider.url", str, "", "another endpoint (wss://; ws:// on loopback addresses)"),
    Spec("provider.allow_unlisted", bool, False, "take a model or voice that Offhook does not know"),
    Spec("provider.openai_key", Secret, Secret(""), "OpenAI API key", env="OPENAI_API_KEY"),
    Spec("provider.xai_key", Secret, Secret(""), "xAI API key", env="XAI_API_KEY"),
    Spec("provider.dial_timeout_s", float, 10.0, "DNS, TCP, TLS and upgrade together", least=0.1),
    *(replace(field, name=f"agent.{field.name}") for field in _AGENT),
    Spec("carrier.name", str, "twilio", "the carrier", choices=("twilio",)),
    Spec("carrier.auth", str, "signature", "how requests are proven; none is for loopback addresses",
         choices=("signature", "none")),
    Spec("carrier.account_sid", str, "", "Twilio account (AC…)", env="TWILIO_ACCOUNT_SID"),
    Spec("carrier.auth_token", Secret, Secret(""), "Twilio Auth Token: signatures, and REST with the account",
         env="TWILIO_AUTH_TOKEN"),
    Spec("carrier.api_key", str, "", "Twilio API key (SK…), instead of the Auth Token for REST",
         env="TWILIO_API_KEY"),
    Spec("carrier.api_secret", Secret, Secret(""), "its secret", env="TWILIO_API_SECRET"),
    Spec("carrier.rest_url", str, "", "Twilio's REST interface elsewhere: another region's, or a stand-in on loopback"),
    Spec("carrier.shared_key_id", str, "", "id of a shared key for SHA-256 signatures"),
    Spec("carrier.shared_key", Secret, Secret(""), "its secret"),
    Spec("carrier.paths", str, "offhook", "where the carrier finds us: /twilio/voice, or /incoming and /twilio as "
         "gptme-voice has it", choices=("offhook", "gptme-voice")),
    Spec("carrier.fallback_say", str, "", "what the carrier says when the agent cannot be reached"),
    Spec("outbound.from", str, "", "the number that calls show, one of the account's; empty: its only one"),
    Spec("outbound.ring_s", int, 30, "how long it rings; also where a caller is transferred to", least=5, most=600),
    Spec("outbound.hello_s", float, 3.0, "the greeting waits so long for the callee's hello; 0: it does not", least=0),
    Spec("outbound.detect", str, "detect", "the carrier's machine detection, asynchronous: off; detect; beep, which "
         "also waits for a voicemail's end", choices=("off", "detect", "beep")),
    Spec("outbound.voicemail", str, "hang_up", "what a voicemail gets: hang_up; message; talk, as a person does",
         choices=("hang_up", "message", "talk")),
    Spec("outbound.machine_sure", float, 0.9, "what we hear of a voicemail ourselves is acted on when it is as sure as "
         "this; a long opening is 0.7, a beep 0.95, the carrier's word always counts", least=0.5, most=1),
    Spec("outbound.at_once", int, 1, "calls of the queue that are placed at the same time", least=1),
    Spec("outbound.tries", int, 3, "how often the queue calls a number at most", least=1),
    Spec("outbound.again_busy_s", float, 300.0, "the queue calls again after a busy line; 0: not", least=0),
    Spec("outbound.again_no_answer_s", float, 1800.0, "the same after no answer", least=0),
    Spec("outbound.again_machine_s", float, 3600.0, "the same after a voicemail that got no message", least=0),
    Spec("outbound.again_failed_s", float, 0.0, "the same after a number that could not be reached", least=0),
    Spec("outbound.message", str, "", "the message that is left, word for word"),
    Spec("server.public_url", str, "", "https://… under which the carrier reaches this server"),
    Spec("server.host", str, "127.0.0.1", "address to listen on"),
    Spec("server.port", int, 8080, "port to listen on; 0: any free one", least=0, most=65535),
    Spec("server.drain_s", float, 30.0, "how long running calls may go on after SIGTERM", least=0),
    Spec("server.compiled", bool, True, "frames go the compiled way where it was built; false: the way in Python"),
    Spec("limits.max_calls", int, 100, "calls at once", least=1),
    Spec("limits.max_call_s", float, 3600.0, "length of a call", least=1),
    Spec("limits.idle_s", float, 300.0, "a call in which nobody says a word ends after", least=1),
    Spec("limits.idle_prompt_s", float, 60.0, "a caller who says nothing is asked whether they are there; 0: never",
         least=0),
    Spec("limits.idle_prompts", int, 2, "so often; then the call ends", least=0),
    Spec("limits.warn_s", float, 60.0, "the caller is told so long before limits.max_call_s is over; 0: not", least=0),
    Spec("limits.time_up_line", str, "time_up", "said at the end of limits.max_call_s: a spoken line or a WAV of "
         "record.lines_dir, by name; empty: nothing"),
    Spec("limits.idle_line", str, "idle", "the same to a caller who says nothing"),
    Spec("limits.spend_line", str, "spend", "the same at a spend cap"),
    Spec("limits.operator_line", str, "operator", "the same when an operator, the API or a tool ends the call"),
    Spec("limits.spend_call_usd", float, 0.0, "a call that has cost so many US dollars ends politely; 0: no cap",
         least=0),
    Spec("limits.spend_day_usd", float, 0.0, "the same of all calls of a day (UTC); then no further one is taken",
         least=0),
    Spec("limits.dials_per_minute", int, 300, "provider sessions opened in a minute", least=1),
    Spec("limits.start_timeout_s", float, 5.0, "a stream without start is closed after", least=0.1),
    Spec("limits.stream_timeout_s", float, 20.0, "a webhook without stream is given up after", least=0.1),
    Spec("limits.max_message_bytes", int, 1024 * 1024, "one message of the carrier", least=1024),
    Spec("record.dir", str, "", "where records go; empty: the user's data directory"),
    Spec("record.audio", bool, False, "keep a stereo recording of every call"),
    Spec("record.digits", bool, False, "keep the digits of keys that callers press; else a key is only counted"),
    Spec("record.max_mb", int, 512, "size of the records; the oldest go first", least=1),
    Spec("record.keep_days", float, 0.0, "calls, records and recordings that are older go; 0: by size only", least=0),
    Spec("record.s3", str, "", "s3://BUCKET/PREFIX: recordings go there after the call"),
    Spec("record.s3_endpoint", str, "", "of an S3-compatible store; empty: AWS"),
    Spec("record.s3_region", str, "", "empty: us-east-1"),
    Spec("record.s3_key_id", str, "", "access key", env="AWS_ACCESS_KEY_ID"),
    Spec("record.s3_secret", Secret, Secret(""), "its secret", env="AWS_SECRET_ACCESS_KEY"),
    Spec("record.s3_token", Secret, Secret(""), "of temporary credentials", env="AWS_SESSION_TOKEN"),
    Spec("record.s3_keep_local", bool, True, "false: off this disk once size and tag there are proven"),
    Spec("record.lines_dir", str, "", "WAV files that replace the spoken lines, by name"),
    Spec("store.url", Secret, Secret(""),
         "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; empty: a file beside the records; off: none"),
    Spec("store.numbers", bool, False, "keep phone numbers in full; else masked, and found by a keyed hash"),
    Spec("store.number_key", Secret, Secret(""), "the hash's key, the same for all servers of one store; empty: a file "
         "beside the records"),
    Spec("redact.patterns", tuple, ("card", "email", "phone"),
         "what logs and exports hide: these, or regular expressions; empty: nothing but secrets and phone numbers"),
    Spec("api.enabled", bool, True, "the interface for programs and for the console, under /api"),
    Spec("api.open", str, "", "loopback: programs of this machine need no token; empty: everybody does",
         choices=("", "loopback")),
    Spec("otel.endpoint", str, "", "each call as a trace, by OTLP over HTTP, as http://127.0.0.1:4318/v1/traces"),
    Spec("otel.headers", Secret, Secret(""), "sent with each, as name=value,name=value"),
    Spec("otel.service", str, "offhook", "the service's name in traces"),
    Spec("api.hosts", tuple, (), "further names under which /api may be asked, beside loopback and the public one"),
    Spec("summary.url", str, "", "who summarizes calls: the base of an OpenAI-compatible interface, as https://host/v1"),
    Spec("summary.model", str, "", "its model"),
    Spec("summary.key", Secret, Secret(""), "its key"),
    Spec("summary.command", list, (), "instead: a program that reads what was said and writes the summary"),
    Spec("summary.prompt", str, "", "what the model is told; empty: five sentences in the caller's language"),
    Spec("summary.allow", tuple, (), "private hosts, addresses or networks that summary.url may lie in"),
    Spec("summary.deadline_s", float, 60.0, "of one try", least=1),
    Spec("summary.retries", int, 3, "of what failed", least=0, most=50),
    Spec("summary.max_chars", int, 4000, "a longer summary is cut", least=100),
    Spec("cost.carrier_usd_per_minute", float, 0.0, "what the carrier takes; 0: unknown", least=0),
    Spec("failure.policy", str, "say", "say: a spoken line, then the end; fall_through: the carrier's next verb",
         choices=("say", "fall_through")),
)  # fmt: skip
