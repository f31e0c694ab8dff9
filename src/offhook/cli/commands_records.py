"""The commands about calls that were: looked at, explained, played again, given away, forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.given import Config, Json, settings_of

__all__ = ["add"]

commands = typer.Typer()
Call = Annotated[str, typer.Argument(help="A call id or its beginning, last, or a record's path.")]


def add(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.registered_commands.extend(commands.registered_commands)


@commands.command(epilog="Examples: offhook show last   |   offhook show CA0123 --json")
def show(
    call: Call,
    config: Config = None,
    json: Json = False,
) -> None:
    """The conversation, the ladder and the verdict of a call."""
    from offhook.cli.places import data_dir
    from offhook.cli.show import show as run
    from offhook.cli.stored import summary_of

    settings = settings_of(config)
    directory = data_dir(settings)
    raise typer.Exit(run(call, directory, as_json=json, summarized=lambda name: summary_of(settings, directory, name)))


@commands.command(epilog="Examples: offhook explain last   |   offhook explain 31951   |   offhook explain F-049")
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

    settings = settings_of(config)
    directory = data_dir(settings)
    view = hidden = None
    if ask_carrier or unmask:
        from offhook.cli import joined

        view = (lambda call: joined.with_carriers_view(call, settings)) if ask_carrier else None
        hidden = (lambda report: joined.hidden(report, settings, directory)) if unmask else None
    raise typer.Exit(run("last" if last else what, directory, as_json=json, view=view, hidden=hidden))


@commands.command(
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
    raise typer.Exit(run(settings_of(config), wishes))


@commands.command(epilog="Examples: offhook transcript last   |   offhook transcript CA0123 --srt > call.srt")
def transcript(
    call: Call,
    srt: Annotated[bool, typer.Option("--srt", help="As subtitles to the recording: what was heard.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """What was said, in the order in which it was heard; ~~what the caller never heard~~ is struck."""
    from offhook.cli.places import data_dir
    from offhook.cli.transcript import transcript_of
    from offhook.evidence.patterns import Patterns

    settings = settings_of(config)
    patterns = Patterns(settings["redact.patterns"])
    raise typer.Exit(transcript_of(call, data_dir(settings), "srt" if srt else "json" if json else "text", patterns))


@commands.command(epilog="Examples: offhook trace last   |   offhook trace CA0123 --media")
def trace(
    call: Call,
    config: Config = None,
    media: Annotated[bool, typer.Option("--media", help="Audio messages too, as far as they were kept.")] = False,
    json: Json = False,
) -> None:
    """A call message by message, as curl -v prints: C< C> carrier, P< P> provider, * bridge."""
    from offhook.cli.places import data_dir
    from offhook.cli.show import trace as run

    raise typer.Exit(run(call, data_dir(settings_of(config)), media=media, as_json=json))


@commands.command(epilog="Examples: offhook share last   |   offhook share CA0123 -o fault.html --audio")
def share(
    call: Call,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file (default: call-TIME-XXXX.html here, with the id's last four characters)."
        ),
    ] = None,
    audio: Annotated[bool, typer.Option("--audio", help="The recording too: it is the caller's voice.")] = False,
    config: Config = None,
) -> None:
    """One HTML file of a call for somebody else, without secrets and numbers; it opens offline."""
    from offhook.cli.share import run

    raise typer.Exit(run(settings_of(config), call, out, audio=audio))


@commands.command(epilog="Examples: offhook replay last   |   offhook replay CA0123 --as-test tests/test_bad_call.py")
def replay(
    call: Call,
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
            call, data_dir(settings_of(config)), greeting=greeting, as_test=as_test, as_json=json, against=against,
            path=path, stream=stream, speed=speed,
        )
    )  # fmt: skip


@commands.command(epilog="Examples: offhook erase --caller +14155550100   |   offhook erase --call CA0123...")
def erase(
    caller: Annotated[str, typer.Option(help="All calls from or to this number.")] = "",
    call: Annotated[str, typer.Option(help="This call, by its whole id.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Forget a caller or a call: record, recording, rows. Lists what went, and searches for what is left."""
    from offhook.cli.erase import run

    raise typer.Exit(run(settings_of(config), caller=caller, call=call, as_json=json))
