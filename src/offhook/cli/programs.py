"""
The commands about the API: its tokens, and a running server acted on. Added to the command line by ``add``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add"]

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
CallName = Annotated[str, typer.Argument(help="A running call: its id or the beginning of it; last: the newest.")]

token_app = typer.Typer(
    help="Who may use the API: tokens made, listed, taken back.", no_args_is_help=True, rich_markup_mode=None
)
ctl_app = typer.Typer(
    help="Act on the calls of the server that runs here.", no_args_is_help=True, rich_markup_mode=None
)


def add(app: typer.Typer, settings: Callable[..., Any]) -> None:
    """Add the commands; ``settings(config, **flags)`` reads the settings."""
    app.add_typer(token_app, name="token")
    app.add_typer(ctl_app, name="ctl")
    _tokens(settings)
    _calls(settings)


def _tokens(settings: Callable[..., Any]) -> None:
    @token_app.command(epilog="Examples: offhook token create console   |   offhook token create bot --scope place")
    def create(
        name: Annotated[str, typer.Argument(help="What it is for.")],
        scope: Annotated[
            list[str] | None, typer.Option(help="read, audio, control, place, numbers, admin; again and again.")
        ] = None,
        days: Annotated[float, typer.Option(min=0, help="Good for so long; 0: until it is revoked.")] = 0,
        config: Config = None,
        json: Json = False,
    ) -> None:
        """Make a token and show it this once."""
        from offhook.cli.tokens import create as run

        raise typer.Exit(run(settings(config), name, scope or ["read"], days, as_json=json))

    @token_app.command("list", epilog="Examples: offhook token list   |   offhook token list --json")
    def listed(config: Config = None, json: Json = False) -> None:
        """Every token there ever was; none is shown."""
        from offhook.cli.tokens import listed as run

        raise typer.Exit(run(settings(config), as_json=json))

    @token_app.command(epilog="Example: offhook token revoke console")
    def revoke(
        which: Annotated[str, typer.Argument(help="A token's id, or the name of several.")], config: Config = None
    ) -> None:
        """Take a token back: a running server refuses it within two seconds."""
        from offhook.cli.tokens import revoke as run

        raise typer.Exit(run(settings(config), which))


def _calls(settings: Callable[..., Any]) -> None:
    def act(config: Path | None, call: str, what: str, body: dict[str, Any]) -> None:
        from offhook.cli.ctl import act as run

        raise typer.Exit(run(settings(config), call, what, body))

    @ctl_app.command(epilog="Examples: offhook ctl calls   |   offhook ctl calls --json")
    def calls(config: Config = None, json: Json = False) -> None:
        """The calls that run now."""
        from offhook.cli.ctl import running as run

        raise typer.Exit(run(settings(config), as_json=json))

    @ctl_app.command(epilog="Examples: offhook ctl watch   |   offhook ctl watch CA0123 | jq .")
    def watch(
        call: Annotated[str, typer.Argument(help="One call only.")] = "",
        levels: Annotated[int, typer.Option(min=0, max=10, help="Levels so many times a second.")] = 0,
        config: Config = None,
    ) -> None:
        """What happens in calls, as it happens: an event a line, as JSON."""
        from offhook.cli.ctl import watch as run

        raise typer.Exit(run(settings(config), call, levels))

    @ctl_app.command(epilog="Example: offhook ctl hangup last")
    def hangup(call: CallName, config: Config = None) -> None:
        """End a call politely."""
        act(config, call, "hangup", {})

    @ctl_app.command(epilog='Example: offhook ctl say last "One moment, please."')
    def say(call: CallName, text: Annotated[str, typer.Argument(help="Word for word.")], config: Config = None) -> None:
        """Let the agent's voice say a line."""
        act(config, call, "say", {"text": text})

    @ctl_app.command(epilog='Example: offhook ctl tell last "The doctor is late." --respond')
    def tell(
        call: CallName,
        text: Annotated[str, typer.Argument(help="What the agent shall know.")],
        respond: Annotated[bool, typer.Option("--respond", help="Let it answer to that.")] = False,
        config: Config = None,
    ) -> None:
        """Tell the agent something that the caller does not hear."""
        act(config, call, "inject", {"text": text, "respond": respond})

    @ctl_app.command(epilog='Example: offhook ctl transfer last +15550100077 --say "I put you through."')
    def transfer(
        call: CallName,
        target: Annotated[str, typer.Argument(help="+15550100077, or sip:name@host.")],
        say: Annotated[str, typer.Option(help="Said, and heard, before.")] = "",
        config: Config = None,
    ) -> None:
        """Give the caller to somebody else."""
        act(config, call, "transfer", {"target": target, "announcement": say})

    @ctl_app.command(epilog="Examples: offhook ctl hold last   |   offhook ctl hold last --off")
    def hold(
        call: CallName,
        off: Annotated[bool, typer.Option("--off", help="Take them back.")] = False,
        config: Config = None,
    ) -> None:
        """Put the caller on hold with music."""
        act(config, call, "hold", {"on": not off})

    @ctl_app.command(epilog="Examples: offhook ctl mute last caller   |   offhook ctl mute last caller --off")
    def mute(
        call: CallName,
        who: Annotated[str, typer.Argument(help="caller: the agent hears silence; agent: the caller hears nothing.")],
        off: Annotated[bool, typer.Option("--off", help="Let them be heard again.")] = False,
        config: Config = None,
    ) -> None:
        """Keep one side from being heard."""
        act(config, call, "mute", {"who": who, "on": not off})

    @ctl_app.command(epilog="Example: offhook ctl handover last billing")
    def handover(
        call: CallName, agent: Annotated[str, typer.Argument(help="An agent of this server.")], config: Config = None
    ) -> None:
        """Let another agent take the call over."""
        act(config, call, "handover", {"agent": agent})

    @ctl_app.command(epilog="Examples: offhook ctl record last --off   |   offhook ctl record last")
    def record(
        call: CallName,
        off: Annotated[bool, typer.Option("--off", help="Pause it: silence until it goes on.")] = False,
        config: Config = None,
    ) -> None:
        """Let the recording go on, or pause it."""
        act(config, call, "pause-recording", {"on": off})

    @ctl_app.command(epilog="Example: offhook ctl press last 1w2#")
    def press(
        call: CallName, keys: Annotated[str, typer.Argument(help="0-9 * # A-D; w waits.")], config: Config = None
    ) -> None:
        """Press keys towards the other side."""
        act(config, call, "dtmf", {"digits": keys})
