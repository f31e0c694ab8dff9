"""The commands that prove a boundary, or stand in for the peer behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.given import Config, Json, settings_of

__all__ = ["add"]

commands = typer.Typer()


def add(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.registered_commands.extend(commands.registered_commands)


@commands.command(
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


@commands.command(
    epilog="Examples: offhook fake openai   |   offhook fake xai --fault ignore-formats --once   |   "
    "offhook fake twilio --ring transfer"
)
def fake(
    provider: Annotated[str, typer.Argument(metavar="peer", help="openai, xai, loopback or twilio.")],
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one (default: 8790; twilio: 8791).")
    ] = None,
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
    once: Annotated[bool, typer.Option("--once", help="End after one session, or one call.")] = False,
    number: Annotated[list[str] | None, typer.Option(help="twilio: a number of the account; again and again.")] = None,
    person: Annotated[
        list[str] | None, typer.Option(help="twilio: NUMBER=WHAT, somebody who can be called. See --list-people.")
    ] = None,
    ring: Annotated[list[str] | None, typer.Option(help="twilio: who calls a number of the account.")] = None,
    list_people: Annotated[
        bool, typer.Option("--list-people", help="twilio: who can be called, and who calls.")
    ] = False,
    server: Annotated[
        str, typer.Option(help='twilio: HOST:PORT of the server that public names stand for; "": dial the names.')
    ] = "127.0.0.1:8080",
    json: Json = False,
) -> None:
    """A strict provider for any client, or a strict carrier's account: both say what is wrong."""
    from offhook.cli.fake import FakeError, fault_list, run

    if list_people or provider == "twilio":
        from offhook.cli import fake_twilio

        if list_people:
            typer.echo(fake_twilio.town_list())
            raise typer.Exit
        raise typer.Exit(
            fake_twilio.run(
                host=host, port=8791 if port is None else port, numbers=number or (), people=person or (),
                ring=ring or (), server=server, token=key, once=once, as_json=json,
            )
        )  # fmt: skip
    if list_faults:
        typer.echo(fault_list(provider))
        raise typer.Exit
    files = tuple(tls.split(",")) if tls else None
    if files is not None and len(files) != 2:
        raise FakeError(f"--tls {tls!r}: wanted CERT,KEY")
    raise typer.Exit(
        run(
            provider, host=host, port=8790 if port is None else port, faults=fault or (), tls=files, key=key,
            record=record, think_s=think, once=once, as_json=json, day=profile,
        )
    )  # fmt: skip


@commands.command(
    epilog="Example: offhook tap --carrier 9000=http://127.0.0.1:8080 --provider 9001=wss://api.openai.com"
)
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
            carrier or [], provider or [], record=record or data_dir(settings_of(config)), public=public,
            rewrite=rewrite_stream_url, wire=wire, tls=files, once=once, as_json=json,
        )
    )  # fmt: skip


@commands.command(
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

    settings = settings_of(config, provider__name=provider)
    raise typer.Exit(
        run(
            settings, boundaries or [], data_dir(settings), live=live, full=full, as_json=json, as_lines=lines,
            watch_s=watch,
        )
    )  # fmt: skip
