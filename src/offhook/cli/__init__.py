"""
The command line: one function a command, heavy imports inside, so that ``--help`` is quick.

Exit codes: 0 healthy or proven, 1 broken, 2 usage or settings, 3 not proven.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from offhook import __version__
from offhook.cli.programs import add as add_programs
from offhook.cli.telephone import add as add_telephone

__all__ = ["app", "main"]

app = typer.Typer(
    name="offhook",
    help="A realtime voice bridge: phone calls joined to speech-to-speech models, every fault named.",
    epilog="Exit codes: 0 healthy or proven, 1 broken, 2 usage or settings, 3 not proven.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
service_app = typer.Typer(help="Files for running Offhook as a service.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(service_app, name="service")
tools_app = typer.Typer(
    help="What agents can do: listed, or one of them tried alone.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(tools_app, name="tools")
import_app = typer.Typer(
    help="Settings of another program, made into ours.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(import_app, name="import")
hooks_app = typer.Typer(
    help="What happens after calls: what waits, what was given up.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(hooks_app, name="hooks")
agent_app = typer.Typer(help="Who answers, and what an agent is told.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(agent_app, name="agent")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"offhook {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _settings(config: Path | None, **flags: object):  # type: ignore[no-untyped-def]  # the type is imported late
    from offhook.settings import load

    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load(given, file=config)


@app.command(epilog="Examples: offhook demo   |   offhook demo --stay   |   offhook demo --out ./my-demo")
def demo(
    out: Annotated[Path | None, typer.Option(help="Where recording and record go (default: a new folder).")] = None,
    swap: Annotated[
        bool, typer.Option("--swap", help="Swap the caller's first and third line: the answers swap.")
    ] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Leave the server and its console up until Ctrl-C.")] = False,
) -> None:
    """A whole phone call on this machine: no key, no phone, no network."""
    from offhook.cli.demo import run

    raise typer.Exit(run(out, swap=swap, stay=stay))


@app.command(epilog="Examples: offhook serve   |   offhook serve --provider xai --port 8080 --live text")
def serve(
    config: Config = None,
    provider: Annotated[str | None, typer.Option(help="openai, xai (grok) or loopback.")] = None,
    model: Annotated[str | None, typer.Option(help="The provider's model.")] = None,
    voice: Annotated[str | None, typer.Option(help="The provider's voice.")] = None,
    public_url: Annotated[str | None, typer.Option(help="https://… under which the carrier reaches us.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    live: Annotated[str, typer.Option(help="Show calls as they happen: text or json.")] = "",
    app_file: Annotated[Path | None, typer.Option("--app", help="A Python file with Agent(...) in it.")] = None,
    tunnel: Annotated[
        str, typer.Option(help="A tunnel program on PATH gives the public URL: cloudflared, ngrok, tailscale, or auto.")
    ] = "",
    number: Annotated[str, typer.Option(help="Point this number here meanwhile; it is put back at the end.")] = "",
) -> None:
    """Answer the phone until SIGTERM. Refuses to start on what cannot work, with the fix."""
    if live not in ("", "text", "json"):
        raise typer.BadParameter(f"got {live!r}, wanted text or json", param_hint="'--live'")
    from offhook.cli.serve import run

    settings = _settings(
        config, provider__name=provider, provider__model=model, provider__voice=voice,
        server__public_url=public_url, server__host=host, server__port=port,
    )  # fmt: skip
    from offhook.cli.declared import declared_in

    raise typer.Exit(run(settings, live=live, declared=declared_in(app_file), tunnel=tunnel, number=number))


@app.command(epilog="Examples: offhook share last   |   offhook share CA0123 -o fault.html --audio")
def share(
    call: Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file (default: the record's name, here).")
    ] = None,
    audio: Annotated[bool, typer.Option("--audio", help="The recording too: it is the caller's voice.")] = False,
    config: Config = None,
) -> None:
    """One HTML file of a call for somebody else, without secrets and numbers; it opens offline."""
    from offhook.cli.share import run

    raise typer.Exit(run(_settings(config), call, out, audio=audio))


@app.command(
    epilog="Examples: offhook talk   |   offhook talk --agent night   |   echo 'opening hours' | offhook talk --text"
)
def talk(
    agent: Annotated[str, typer.Option(help="Which agent; default: whoever answers unknown callers.")] = "",
    text: Annotated[bool, typer.Option("--text", help="Write instead of speaking.")] = False,
    config: Config = None,
) -> None:
    """Speak with an agent from this terminal: microphone and speakers, or in writing."""
    from offhook.cli.talk import run

    raise typer.Exit(run(_settings(config), agent=agent, text=text))


@app.command(epilog="Examples: offhook init --provider openai   |   offhook init --provider xai --force")
def init(
    provider: Annotated[str, typer.Option(help="openai, xai (grok) or loopback.")] = "",
    public_url: Annotated[str, typer.Option(help="https://… under which the carrier reaches us.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing offhook.toml.")] = False,
) -> None:
    """Write an offhook.toml of ten lines."""
    from offhook.cli.init import run

    raise typer.Exit(run(provider, public_url, force))


@app.command(epilog="Examples: offhook config   |   offhook config --json")
def config(config: Config = None, json: Json = False) -> None:
    """The effective settings and where each came from; secrets as fingerprints."""
    from offhook.cli.config import run

    raise typer.Exit(run(_settings(config), as_json=json))


@app.command(epilog="Examples: offhook show last   |   offhook show CA0123 --json")
def show(
    call: Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """The conversation, the ladder and the verdict of a call."""
    from offhook.cli.places import data_dir
    from offhook.cli.show import show as run

    raise typer.Exit(run(call, data_dir(_settings(config)), as_json=json))


@app.command(epilog="Examples: offhook explain last   |   offhook explain 31951   |   offhook explain F-049")
def explain(
    what: Annotated[
        str, typer.Argument(help="A call (id or its beginning, last, a path), a code, or a finding's id.")
    ] = "last",
    last: Annotated[bool, typer.Option("--last", help="The last call.")] = False,
    ask_carrier: Annotated[
        bool, typer.Option("--ask-carrier", help="Join the carrier's own log of the call (needs its credentials).")
    ] = False,
    unmask: Annotated[
        bool, typer.Option("--unmask", help="Prove by isolated checks what the fault hid: what would have hit next.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """What became of a call, boundary by boundary: the fault, who lies about it, the proof, the fix."""
    from offhook.cli.explain import explain as run
    from offhook.cli.places import data_dir

    settings = _settings(config)
    directory = data_dir(settings)
    view = hidden = None
    if ask_carrier or unmask:
        from offhook.cli import joined

        view = (lambda call: joined.with_carriers_view(call, settings)) if ask_carrier else None
        hidden = (lambda report: joined.hidden(report, settings, directory)) if unmask else None
    raise typer.Exit(run("last" if last else what, directory, as_json=json, view=view, hidden=hidden))


@app.command(
    epilog="Examples: offhook calls   |   offhook calls --text refund --since 7d --cost   |   "
    "offhook calls --number +14155550100 --csv"
)
def calls(
    last: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    number: Annotated[str, typer.Option(help="Of either side: in full, or the two digits that are shown.")] = "",
    agent: Annotated[str, typer.Option(help="Answered by this agent.")] = "",
    verdict: Annotated[str, typer.Option(help="healthy, broken, suspected or 'not proven'.")] = "",
    finding: Annotated[str, typer.Option(help="With this finding, or one of this boundary.")] = "",
    text: Annotated[str, typer.Option(help="In which all of these words were said.")] = "",
    since: Annotated[str, typer.Option(help="2026-11-25, 2026-11-25T14:00 (UTC), or 3d, 12h, 30m ago.")] = "",
    until: Annotated[str, typer.Option(help="The same.")] = "",
    min_usd: Annotated[float | None, typer.Option(help="That cost so much, as far as it is known.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="What each cost; unknown is said.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="As a table, for a spreadsheet.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """The calls there are, newest last, each with its verdict; the exit code is the worst of them."""
    from offhook.cli.calls import Wishes
    from offhook.cli.calls import calls as run

    wishes = Wishes(
        last=last, number=number, agent=agent, verdict=verdict, finding=finding, text=text, since=since, until=until,
        min_usd=min_usd, cost=cost, how="csv" if csv else "jsonl" if jsonl else "json" if json else "",
    )  # fmt: skip
    raise typer.Exit(run(_settings(config), wishes))


@app.command(epilog="Examples: offhook transcript last   |   offhook transcript CA0123 --srt > call.srt")
def transcript(
    call: Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")],
    srt: Annotated[bool, typer.Option("--srt", help="As subtitles to the recording: what was heard.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """What was said, in the order in which it was heard; ~~what the caller never heard~~ is struck."""
    from offhook.cli.places import data_dir
    from offhook.cli.transcript import transcript_of
    from offhook.evidence.patterns import Patterns

    settings = _settings(config)
    patterns = Patterns(settings["redact.patterns"])
    raise typer.Exit(transcript_of(call, data_dir(settings), "srt" if srt else "json" if json else "text", patterns))


@import_app.command("gptme-voice", epilog="Example: offhook import gptme-voice --provider grok --workspace ~/bob")
def import_gptme_voice(
    provider: Annotated[str, typer.Option(help="As its server was started: openai or grok.")] = "",
    model: Annotated[str, typer.Option(help="The same.")] = "",
    voice: Annotated[str, typer.Option(help="The same.")] = "",
    workspace: Annotated[str, typer.Option(help="The same: the agent's folder.")] = "",
    host: Annotated[str, typer.Option(help="The same.")] = "",
    port: Annotated[int, typer.Option(help="The same.")] = 0,
    reasoning_effort: Annotated[str, typer.Option(help="Has no counterpart.")] = "",
    output_speed: Annotated[float | None, typer.Option(help="Has no counterpart.")] = None,
    enable_browser_transport: Annotated[
        bool, typer.Option("--enable-browser-transport", help="Has no counterpart.")
    ] = False,
    env_file: Annotated[Path, typer.Option(help="Its .env.")] = Path(".env"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite offhook.toml.")] = False,
    json: Json = False,
) -> None:
    """Write an offhook.toml from a gptme-voice server's environment; says what maps, what does not, what was unsafe."""
    from offhook.cli.moving import Given, run

    other = {
        "--reasoning-effort": reasoning_effort, "--output-speed": output_speed,
        "--enable-browser-transport": enable_browser_transport,
    }  # fmt: skip
    given = Given(
        provider=provider, model=model, voice=voice, workspace=workspace, host=host, port=port,
        other=tuple(name for name, value in other.items() if value),
    )  # fmt: skip
    raise typer.Exit(run(given, dotenv=env_file, force=force, as_json=json))


@hooks_app.callback(epilog="Examples: offhook hooks   |   offhook hooks --all   |   offhook hooks retry all")
def hooks(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="What was done too.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """What happens after calls, what of it waits, and what was given up; exit code 1 where something was."""
    if context.invoked_subcommand is None:
        from offhook.cli.hooks import listing

        raise typer.Exit(listing(_settings(config), everything=everything, as_json=json))


@hooks_app.command("retry", epilog="Examples: offhook hooks retry 17   |   offhook hooks retry crm")
def hooks_retry(
    which: Annotated[str, typer.Argument(help="A number of the list, a hook's name, or all.")], config: Config = None
) -> None:
    """Try again what was given up; a command that may have run is started once more."""
    from offhook.cli.hooks import retry

    raise typer.Exit(retry(_settings(config), which))


@app.command(epilog="Examples: offhook erase --caller +14155550100   |   offhook erase --call CA0123...")
def erase(
    caller: Annotated[str, typer.Option(help="All calls from or to this number.")] = "",
    call: Annotated[str, typer.Option(help="This call, by its whole id.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Forget a caller or a call: record, recording, rows. Lists what went, and searches for what is left."""
    from offhook.cli.erase import run

    raise typer.Exit(run(_settings(config), caller=caller, call=call, as_json=json))


@app.command(epilog="Examples: offhook trace last   |   offhook trace CA0123 --media")
def trace(
    call: Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")],
    config: Config = None,
    media: Annotated[bool, typer.Option("--media", help="Audio messages too, as far as they were kept.")] = False,
    json: Json = False,
) -> None:
    """A call message by message, as curl -v prints: C< C> carrier, P< P> provider, * bridge."""
    from offhook.cli.places import data_dir
    from offhook.cli.show import trace as run

    raise typer.Exit(run(call, data_dir(_settings(config)), media=media, as_json=json))


@app.command(
    epilog="Examples: offhook dial ws://127.0.0.1:8000/media   |   offhook dial http://127.0.0.1:8000/voice "
    "--public https://voice.example.com --auth-token-env TWILIO_AUTH_TOKEN   |   offhook dial URL --conformance"
)
def dial(
    url: Annotated[str, typer.Argument(help="http(s)://: the webhook, then its stream. ws(s)://: the stream.")] = "",
    public: Annotated[str, typer.Option(help="The origin that URL stands for: signed and sent as Host.")] = "",
    connect: Annotated[str, typer.Option(help="HOST:PORT that is really dialled for that origin.")] = "",
    insecure_ws: Annotated[bool, typer.Option("--insecure-ws", help="Leave TLS out, as for a local server.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust instead of this machine's.")] = None,
    auth_token_env: Annotated[str, typer.Option(help="Name of the variable with the auth token that signs.")] = "",
    method: Annotated[str, typer.Option(help="How the number's webhook is set: POST or GET.")] = "POST",
    fallback_url: Annotated[str, typer.Option(help="The number's fallback URL.")] = "",
    caller: Annotated[str, typer.Option("--from", help="The number that calls.")] = "",
    called: Annotated[str, typer.Option("--to", help="The number that is called.")] = "",
    field: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the webhook's form, as StirVerstat=TN-Validation-Passed-A.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of customParameters; again and again.")] = None,
    say: Annotated[
        list[str] | None, typer.Option(help="Words, a shipped line, tone:HZ:S, noise:DBFS:S, babble:S, silence:S.")
    ] = None,
    say_file: Annotated[list[Path] | None, typer.Option(help="A WAV file of any rate.")] = None,
    microphone: Annotated[bool, typer.Option("--microphone", help="Speak yourself (pip install sounddevice).")] = False,
    press: Annotated[list[str] | None, typer.Option(help="KEY@SECONDS, as in 1@3s.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="A TOML file of steps; see docs/dial.md.")] = None,
    max_s: Annotated[float | None, typer.Option("--max", help="Seconds after which the caller leaves.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="NAME[=VALUE][@WHEN]; again and again.")] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Every fault that can be dialled.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random: the same seed, the same call.")] = 0,
    lenient: Annotated[bool, typer.Option("--lenient", help="Let extra fields pass, as some say Twilio does.")] = False,
    out: Annotated[Path | None, typer.Option(help="Directory of the recording.")] = None,
    audio: Annotated[bool, typer.Option("--audio", help="Keep the audio as well: a stereo WAV.")] = False,
    conformance: Annotated[bool, typer.Option("--conformance", help="The whole list against this server.")] = False,
    calls: Annotated[int, typer.Option(help="So many callers at once.")] = 1,
    ramp: Annotated[float, typer.Option(help="Seconds over which they begin.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds during which each calls again.")] = None,
    own: Annotated[bool, typer.Option("--i-own-this-server", help="Many calls to a server elsewhere.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="An earlier run (--save) to compare with.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep this run for a later --baseline.")] = None,
    server: Annotated[str, typer.Option(help="Start this command first; {port} in it and in URL is its port.")] = "",
    fakes: Annotated[str, typer.Option(help="all, openai or xai: fake providers for --server.")] = "",
    provider_fault: Annotated[
        list[str] | None, typer.Option(help="A fault of the fakes, as offhook fake has them; xai:NAME at one of them.")
    ] = None,
    provider: Annotated[str, typer.Option(help="Whom --server is meant to speak with; else its dial.toml says.")] = "",
    override: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE that mends --server from outside; {provider}, {model} in it.")
    ] = None,
    rest_port: Annotated[
        int | None, typer.Option(help="Stand in for the carrier's REST interface there; point the server at it.")
    ] = None,
    passes: Annotated[int, typer.Option(help="At most so many starts of --server, each with a fault less.")] = 8,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML as well.")] = None,
    json: Json = False,
) -> None:
    """A strict simulated carrier calls anybody's media-stream server, and says what a real one would not."""
    from offhook.cli.dial import Wishes, fault_list, run

    if list_faults or not (url or server):
        typer.echo(fault_list() if list_faults else "offhook dial: wanted a URL; see offhook dial --help")
        raise typer.Exit(0 if list_faults else 2)
    wishes = Wishes(
        url, public=public, connect=connect, insecure_ws=insecure_ws, ca=ca, auth_token_env=auth_token_env,
        method=method, fallback_url=fallback_url, params=tuple(param or ()),
        caller=caller, called=called, fields=tuple(field or ()), say=tuple(say or ()),
        say_file=tuple(say_file or ()), microphone=microphone, press=tuple(press or ()), scenario=scenario, max_s=max_s,
        faults=tuple(fault or ()), seed=seed, lenient=lenient, out=out, audio=audio, conformance=conformance,
        calls=calls, ramp=ramp, duration=duration, own=own, baseline=baseline, save=save, server=server, fakes=fakes,
        provider_faults=tuple(provider_fault or ()), provider=provider, overrides=tuple(override or ()), passes=passes,
        rest_port=rest_port, junit=junit, json=json,
    )  # fmt: skip
    raise typer.Exit(run(wishes))


@app.command(epilog="Examples: offhook fake openai   |   offhook fake xai --fault ignore-formats --once")
def fake(
    provider: Annotated[str, typer.Argument(help="openai, xai or loopback.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8790,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    fault: Annotated[
        list[str] | None, typer.Option(help="NAME, NAME@30s or NAME@response2; again and again. See --list-faults.")
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Which faults this provider plays.")] = False,
    tls: Annotated[str, typer.Option(help="CERT,KEY: files in PEM; the URL is wss:// then.")] = "",
    key: Annotated[str, typer.Option(help="The one key that is let in (default: any).")] = "",
    think: Annotated[float, typer.Option(help="Seconds before each answer.")] = 0.0,
    profile: Annotated[
        str, typer.Option(help="YYYY-MM-DD: as its dated facts say it was, or will be, on that day.")
    ] = "",
    record: Annotated[Path | None, typer.Option(help="Directory for a record of each session.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End after one session.")] = False,
    json: Json = False,
) -> None:
    """A strict provider for any client, which says what the client does wrong."""
    from offhook.cli.fake import FakeError, fault_list, run

    if list_faults:
        typer.echo(fault_list(provider))
        raise typer.Exit
    files = tuple(tls.split(",")) if tls else None
    if files is not None and len(files) != 2:
        raise FakeError(f"--tls {tls!r}: wanted CERT,KEY")
    raise typer.Exit(
        run(
            provider, host=host, port=port, faults=fault or (), tls=files, key=key, record=record, think_s=think,
            once=once, as_json=json, day=profile,
        )
    )  # fmt: skip


@app.command(epilog="Example: offhook tap --carrier 9000=http://127.0.0.1:8080 --provider 9001=wss://api.openai.com")
def tap(
    carrier: Annotated[
        list[str] | None, typer.Option(help="LISTEN=URL of a media-stream server, as 9000=http://127.0.0.1:8080.")
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="LISTEN=URL of a provider, as 9001=wss://api.openai.com.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Directory for the records (default: record.dir).")] = None,
    public: Annotated[str, typer.Option(help="https://… under which the carrier reaches the tap.")] = "",
    rewrite_stream_url: Annotated[
        bool, typer.Option("--rewrite-stream-url", help="Let TwiML's <Stream> go to --public; the one change there is.")
    ] = False,
    wire: Annotated[str, typer.Option(help="The provider's wire: auto, openai, xai or loopback.")] = "auto",
    tls: Annotated[str, typer.Option(help="CERT,KEY: listen with TLS.")] = "",
    once: Annotated[bool, typer.Option("--once", help="End after one call.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Record the calls of any server, from in between, without changing a byte."""
    from offhook.cli.places import data_dir
    from offhook.cli.tap import TapError, run

    files = tuple(tls.split(",")) if tls else None
    if files is not None and len(files) != 2:
        raise TapError(f"--tls {tls!r}: wanted CERT,KEY")
    raise typer.Exit(
        run(
            carrier or [], provider or [], record=record or data_dir(_settings(config)), public=public,
            rewrite=rewrite_stream_url, wire=wire, tls=files, once=once, as_json=json,
        )
    )  # fmt: skip


@app.command(epilog="Examples: offhook replay last   |   offhook replay CA0123 --as-test tests/test_bad_call.py")
def replay(
    call: Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")],
    greeting: Annotated[str | None, typer.Option(help="The greeting, where the record does not have it whole.")] = None,
    as_test: Annotated[Path | None, typer.Option("--as-test", help="Write a test_….py and its record as well.")] = None,
    against: Annotated[
        str, typer.Option(help="COMMAND of another server ({port} is its port), played at in real time.")
    ] = "",
    path: Annotated[str, typer.Option(help="With --against: the webhook's path, where the record has none.")] = "",
    stream: Annotated[
        bool, typer.Option("--stream", help="With --against: no webhook, --path is the stream's.")
    ] = False,
    speed: Annotated[float, typer.Option(help="With --against: carrier and provider so many times as fast.")] = 1.0,
    config: Config = None,
    json: Json = False,
) -> None:
    """A recorded call again, against the code of today: what differs, and whether it is healthy now."""
    from offhook.cli.places import data_dir
    from offhook.cli.replay import run

    raise typer.Exit(
        run(
            call, data_dir(_settings(config)), greeting=greeting, as_test=as_test, as_json=json, against=against,
            path=path, stream=stream, speed=speed,
        )
    )  # fmt: skip


@app.command(
    epilog="Examples: offhook check   |   offhook check settings provider --live   |   offhook check --watch 600"
)
def check(
    boundaries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECK]...",
            help="settings audio store tools credentials public webhook proxy stream provider account call; or all.",
        ),
    ] = None,
    config: Config = None,
    provider: Annotated[str | None, typer.Option(help="openai, xai (grok) or loopback.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Also what costs money; says the price first.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also what takes a minute: idle time at the proxy.")] = False,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=5, help="Again and again; tells what changed.")
    ] = None,
    json: Json = False,
    lines: Annotated[bool, typer.Option("--lines", help="For programs: each step as a line of JSON, at once.")] = False,
) -> None:
    """Prove each boundary in isolation. 0 proven, 1 broken, 3 not proven."""
    from offhook.cli.check import run
    from offhook.cli.places import data_dir

    settings = _settings(config, provider__name=provider)
    raise typer.Exit(
        run(
            settings, boundaries or [], data_dir(settings), live=live, full=full, as_json=json, as_lines=lines,
            watch_s=watch,
        )
    )  # fmt: skip


App = Annotated[Path | None, typer.Option("--app", help="A Python file with Agent(...) in it.")]


@agent_app.command("list", epilog="Examples: offhook agent list   |   offhook agent list --json")
def agent_list(config: Config = None, app_file: App = None, json: Json = False) -> None:
    """Every agent, and which calls lead to it."""
    from offhook.cli.agent import listing
    from offhook.cli.declared import declared_in

    raise typer.Exit(listing(_settings(config), declared_in(app_file), as_json=json))


@agent_app.command(
    "show", epilog="Examples: offhook agent show sales   |   offhook agent show --to +15550001111 --at 22:30 --text"
)
def agent_show(
    name: Annotated[str, typer.Argument(help="An agent; left out: whoever the call leads to.")] = "",
    called: Annotated[str, typer.Option("--to", help="Our number, that is called (outbound: that calls).")] = "",
    caller: Annotated[str, typer.Option("--from", help="The other side's number.")] = "",
    at: Annotated[str, typer.Option(help="When, as 2026-11-25T22:30+01:00; default now.")] = "",
    outbound: Annotated[bool, typer.Option("--outbound", help="We call.")] = False,
    verified: Annotated[bool, typer.Option("--verified", help="The carrier vouches for the caller's number.")] = False,
    known: Annotated[list[str] | None, typer.Option(help="NAME=VALUE that a lookup finds of the caller.")] = None,
    field: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the webhook.")] = None,
    text: Annotated[bool, typer.Option("--text", help="The whole prompt and nothing else.")] = False,
    config: Config = None,
    app_file: App = None,
    json: Json = False,
) -> None:
    """One agent in one call: every value with its origin, its prompt in parts, what was cut and why."""
    from offhook.cli.agent import Asked, show
    from offhook.cli.declared import declared_in

    asked = Asked(
        number=called, caller=caller, at=at, outbound=outbound, verified=verified, field=field or (), known=known or ()
    )
    raise typer.Exit(show(_settings(config), name, asked, declared_in(app_file), text=text, as_json=json))


@service_app.command("systemd", epilog="Example: offhook service systemd > /etc/systemd/system/offhook.service")
def service_systemd(
    config: Config = None,
    user: Annotated[str, typer.Option(help="The user the service runs as.")] = "offhook",
    environment_file: Annotated[str, typer.Option(help="Where the keys are.")] = "/etc/offhook/offhook.env",
) -> None:
    """A unit that runs the preflight first, reads keys from a file, and drains on stop."""
    from offhook.cli.service import systemd as run

    raise typer.Exit(run(_settings(config), user, environment_file))


@tools_app.callback()
def tools(context: typer.Context, config: Config = None, json: Json = False) -> None:
    """What agents can do: what the model is told, what it is made of, and where that stands."""
    if context.invoked_subcommand is not None:
        return
    from offhook.cli.tools import listing

    raise typer.Exit(listing(_settings(config), as_json=json))


@tools_app.command("run", epilog="""Example: offhook tools run opening_hours '{"day": "Monday"}'""")
def tools_run(
    name: Annotated[str, typer.Argument(help="The tool, as `offhook tools` lists it.")],
    arguments: Annotated[str, typer.Argument(help="What the model would send: a JSON object.")] = "{}",
    config: Config = None,
    dry: Annotated[bool, typer.Option("--dry", help="As in tests: what changes something is not carried out.")] = False,
    json: Json = False,
) -> None:
    """One tool, without a call: what the model would be told, how long it took, what it left in the record."""
    from offhook.cli.tools import run

    raise typer.Exit(run(_settings(config), name, arguments, dry=dry, as_json=json))


add_telephone(app, _settings)
add_programs(app, _settings)


def main() -> None:
    """Run the command line; an error is a message and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows ? and goes on
    try:
        app()
    except BrokenPipeError:  # `offhook trace | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("OFFHOOK_DEBUG"):
            raise
        from offhook.wires._wire import clean_text

        if _expected(error):
            sys.stderr.write("".join(f"offhook: {clean_text(line)}\n" for line in str(error).splitlines()))
            sys.exit(2)
        sys.stderr.write(f"offhook: {type(error).__name__}: {clean_text(str(error))}\n")
        sys.stderr.write("offhook: OFFHOOK_DEBUG=1 shows where\n")
        sys.exit(1)


def _expected(error: Exception) -> bool:
    """Whether an error is the user's to mend and its text says how."""
    return type(error).__module__.startswith("offhook.")
