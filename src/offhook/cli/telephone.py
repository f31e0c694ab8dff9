"""
The commands about telephones: a call placed, the account's numbers. Added to the command line by ``add``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from offhook.cli.given import Parameters, parameters_of

__all__ = ["add"]

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Number = Annotated[str, typer.Argument(help="A number of the carrier's account, as +15550100002.")]

numbers_app = typer.Typer(
    help="The carrier's numbers: listed, pointed at this server, put back.", invoke_without_command=True,
    rich_markup_mode=None,
)  # fmt: skip

queue_app = typer.Typer(
    help="Calls that are to be placed, and numbers that are never called.", invoke_without_command=True,
    rich_markup_mode=None,
)  # fmt: skip


def add(app: typer.Typer, settings: Callable[..., Any]) -> None:
    """Add the commands; ``settings(config, **flags)`` reads the settings."""
    app.add_typer(numbers_app, name="numbers")

    @app.command(epilog="Examples: offhook call +15550100077   |   offhook call +15550100077 --agent billing --json")
    def call(
        number: Annotated[str, typer.Argument(help="Whom to call: +15550100077, or sip:name@host.")],
        config: Config = None,
        agent: Annotated[str, typer.Option(help="The agent that speaks (default: by the routes).")] = "",
        from_: Annotated[str | None, typer.Option("--from", help="The number that the call shows.")] = None,
        voicemail: Annotated[str | None, typer.Option(help="hang_up, message or talk.")] = None,
        message: Annotated[str | None, typer.Option(help="Left on a voicemail, word for word.")] = None,
        detect: Annotated[str | None, typer.Option(help="The carrier's machine detection: off, detect, beep.")] = None,
        keys: Annotated[str | None, typer.Option(help="Keys pressed once it is answered; w: half a second.")] = None,
        param: Parameters = None,
        tunnel: Annotated[str, typer.Option(help="A tunnel program on PATH, or auto.")] = "",
        json: Json = False,
    ) -> None:
        """Place a call, follow it live, and judge it when it is over. Ctrl-C takes it back, or ends it politely."""
        from offhook.cli.call import options_of, run

        for name, given, wanted in (
            ("--voicemail", voicemail, ("hang_up", "message", "talk")),
            ("--detect", detect, ("off", "detect", "beep")),
        ):
            if given is not None and given not in wanted:
                raise typer.BadParameter(f"got {given!r}, wanted {', '.join(wanted)}", param_hint=f"'{name}'")
        made = settings(config)
        if message is not None and voicemail is None:
            voicemail = "message"
        options = options_of(
            made, from_=from_, agent=agent, voicemail=voicemail, message=message, machine=detect, send_digits=keys,
            parameters=parameters_of(param),
        )  # fmt: skip
        raise typer.Exit(run(made, number, options, live="json" if json else "text", tunnel=tunnel))

    app.add_typer(queue_app, name="queue")

    @queue_app.callback(epilog="Examples: offhook queue   |   offhook queue --all --json")
    def queued(
        context: typer.Context,
        config: Config = None,
        everything: Annotated[bool, typer.Option("--all", help="What is over as well.")] = False,
        json: Json = False,
    ) -> None:
        """Calls that are to be placed; `offhook serve` places them when they are due."""
        if context.invoked_subcommand is None:
            from offhook.cli.queued import listed as run

            raise typer.Exit(run(settings(config), everything=everything, as_json=json))

    @queue_app.command("add", epilog="Example: offhook queue add +15550100077 --at 2026-12-01T09:30 --agent reminder")
    def queue_add(
        number: Annotated[str, typer.Argument(help="Whom to call: +15550100077, or sip:name@host.")],
        config: Config = None,
        at: Annotated[str, typer.Option(help="Not before: 2026-12-01T09:30, local unless it names a zone.")] = "",
        agent: Annotated[str, typer.Option(help="The agent that speaks (default: by the routes).")] = "",
        tries: Annotated[int | None, typer.Option(min=1, help="How often at most.")] = None,
        message: Annotated[str | None, typer.Option(help="Left on a voicemail, word for word.")] = None,
        param: Parameters = None,
    ) -> None:
        """Put a call on the list."""
        from offhook.cli.call import options_of
        from offhook.cli.queued import add as run

        made = settings(config)
        voicemail = "message" if message is not None else None
        options = options_of(made, agent=agent, message=message, voicemail=voicemail, parameters=parameters_of(param))
        raise typer.Exit(run(made, number, options, at, tries))

    @queue_app.command("cancel", epilog="Example: offhook queue cancel 1f2e3d4c")
    def queue_cancel(id_: Annotated[str, typer.Argument(metavar="ID")], config: Config = None) -> None:
        """Take a call off the list."""
        from offhook.cli.queued import cancel as run

        raise typer.Exit(run(settings(config), id_))

    @queue_app.command("never", epilog="Example: offhook queue never +15550100077 --why 'asked not to be called'")
    def queue_never(
        number: Annotated[str, typer.Argument(help="A number that is never called.")],
        config: Config = None,
        why: Annotated[str, typer.Option(help="For whoever reads the list.")] = "",
    ) -> None:
        """Put a number on the do-not-call list: neither the queue nor `offhook call` dials it."""
        from offhook.cli.queued import never as run

        raise typer.Exit(run(settings(config), number, why))

    @queue_app.command("allow", epilog="Example: offhook queue allow +15550100077")
    def queue_allow(number: Annotated[str, typer.Argument(help="A number.")], config: Config = None) -> None:
        """Take a number off the do-not-call list."""
        from offhook.cli.queued import allow as run

        raise typer.Exit(run(settings(config), number))

    @numbers_app.callback(epilog="Examples: offhook numbers   |   offhook numbers point +15550100002")
    def listed(context: typer.Context, config: Config = None, json: Json = False) -> None:
        """The carrier's numbers and where they point."""
        if context.invoked_subcommand is None:
            from offhook.cli.numbers import listed as run

            raise typer.Exit(run(settings(config), as_json=json))

    @numbers_app.command(epilog="Example: offhook numbers point +15550100002")
    def point(number: Number, config: Config = None) -> None:
        """Point a number at server.public_url; what it pointed at before is remembered."""
        from offhook.cli.numbers import point as run

        raise typer.Exit(run(settings(config), number))

    @numbers_app.command(epilog="Example: offhook numbers restore +15550100002")
    def restore(number: Number, config: Config = None) -> None:
        """Put back what a number pointed at before."""
        from offhook.cli.numbers import restore as run

        raise typer.Exit(run(settings(config), number))
