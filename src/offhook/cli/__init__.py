"""
The command line: one function a command, heavy imports inside, so that ``--help`` is quick. What serves, talks and sets
up stands here, the rest in ``commands_*``, ``telephone`` and ``programs``.

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
from offhook.cli import commands_agents, commands_proof, commands_records, programs, telephone
from offhook.cli.given import Config, Json, settings_of

__all__ = ["app", "main"]

app = typer.Typer(
    name="offhook",
    help="A realtime voice bridge: phone calls joined to speech-to-speech models, every fault named.",
    epilog="Exit codes: 0 healthy or proven, 1 broken, 2 usage or settings, 3 not proven.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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
    from offhook.cli.process import run

    settings = settings_of(
        config, provider__name=provider, provider__model=model, provider__voice=voice,
        server__public_url=public_url, server__host=host, server__port=port,
    )  # fmt: skip
    from offhook.cli.declared import declared_in

    raise typer.Exit(run(settings, live=live, declared=declared_in(app_file), tunnel=tunnel, number=number))


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

    raise typer.Exit(run(settings_of(config), agent=agent, text=text))


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

    raise typer.Exit(run(settings_of(config), as_json=json))


commands_records.add(app)
commands_proof.add(app)
commands_agents.add(app)
telephone.add(app, settings_of)
programs.add(app, settings_of)


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
