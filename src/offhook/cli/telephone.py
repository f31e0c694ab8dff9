"""
The commands about telephones: a call placed, the account's numbers. Added to the command line by ``add``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add"]

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Number = Annotated[str, typer.Argument(help="A number of the carrier's account, as +15550100002.")]

numbers_app = typer.Typer(
    help="The carrier's numbers: listed, pointed at this server, put back.", invoke_without_command=True,
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
            made, from_=from_, agent=agent, voicemail=voicemail, message=message, machine=detect, send_digits=keys
        )
        raise typer.Exit(run(made, number, options, live="json" if json else "text", tunnel=tunnel))

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
