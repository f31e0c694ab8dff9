"""The commands about who answers and what they can do, what happens after calls, and moving in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offhook.cli.given import Config, Json, settings_of

__all__ = ["add"]

service_app = typer.Typer(help="Files for running Offhook as a service.", no_args_is_help=True, rich_markup_mode=None)
tools_app = typer.Typer(
    help="What agents can do: listed, or one of them tried alone.", invoke_without_command=True, rich_markup_mode=None
)
import_app = typer.Typer(
    help="Settings of another program, made into ours.", no_args_is_help=True, rich_markup_mode=None
)
hooks_app = typer.Typer(
    help="What happens after calls: what waits, what was given up.", invoke_without_command=True, rich_markup_mode=None
)
agent_app = typer.Typer(help="Who answers, and what an agent is told.", no_args_is_help=True, rich_markup_mode=None)
App = Annotated[Path | None, typer.Option("--app", help="A Python file with Agent(...) in it.")]


def add(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(service_app, name="service")
    app.add_typer(tools_app, name="tools")
    app.add_typer(import_app, name="import")
    app.add_typer(hooks_app, name="hooks")
    app.add_typer(agent_app, name="agent")


@agent_app.command("list", epilog="Examples: offhook agent list   |   offhook agent list --json")
def agent_list(config: Config = None, app_file: App = None, json: Json = False) -> None:
    """Every agent, and which calls lead to it."""
    from offhook.cli.agent import listing
    from offhook.cli.declared import declared_in

    raise typer.Exit(listing(settings_of(config), declared_in(app_file), as_json=json))


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
    raise typer.Exit(show(settings_of(config), name, asked, declared_in(app_file), text=text, as_json=json))


@tools_app.callback()
def tools(context: typer.Context, config: Config = None, json: Json = False) -> None:
    """What agents can do: what the model is told, what it is made of, and where that stands."""
    if context.invoked_subcommand is not None:
        return
    from offhook.cli.tools import listing

    raise typer.Exit(listing(settings_of(config), as_json=json))


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

    raise typer.Exit(run(settings_of(config), name, arguments, dry=dry, as_json=json))


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

        raise typer.Exit(listing(settings_of(config), everything=everything, as_json=json))


@hooks_app.command("retry", epilog="Examples: offhook hooks retry 17   |   offhook hooks retry crm")
def hooks_retry(
    which: Annotated[str, typer.Argument(help="A number of the list, a hook's name, or all.")], config: Config = None
) -> None:
    """Try again what was given up; a command that may have run is started once more."""
    from offhook.cli.hooks import retry

    raise typer.Exit(retry(settings_of(config), which))


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


@service_app.command("systemd", epilog="Example: offhook service systemd > /etc/systemd/system/offhook.service")
def service_systemd(
    config: Config = None,
    user: Annotated[str, typer.Option(help="The user the service runs as.")] = "offhook",
    environment_file: Annotated[str, typer.Option(help="Where the keys are.")] = "/etc/offhook/offhook.env",
) -> None:
    """A unit that runs the preflight first, reads keys from a file, and drains on stop."""
    from offhook.cli.service import systemd as run

    raise typer.Exit(run(settings_of(config), user, environment_file))
