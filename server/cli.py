"""The ``greenroom`` command."""

import sys
from typing import Any

import click

from server.options import options, settings_from
from server.version import VERSION
from storage.errors import GreenroomError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="%(version)s")
def command() -> None:
    """A server for large fleets of stateful agents.

    `greenroom serve` is all it takes: agents are kept in ~/.greenroom and answer on
    http://127.0.0.1:8283. Model providers are turned on by their usual environment variables
    (OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_BASE_URL, ...); greenroom/scripted needs none.
    """


@command.command()
@options()
def serve(**given: Any) -> None:
    """Serve agents over the REST API.

    Each option can also be set by the environment variable in brackets; the option wins.
    Ctrl-C lets running steps finish, pressed again it ends everything at once. Nothing that was
    acknowledged is lost either way.
    """
    settings = settings_from(given)
    from server.serve import serve as run_server  # noqa: PLC0415 - aiohttp is slow to import

    run_server(settings, _say)


@command.command("scripted-model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8290, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time each answer takes to begin.")
@click.option(
    "--tokens-per-second", default=0.0, show_default=True, help="Speed of answers; 0 is as fast as it can."
)
def scripted_model(host: str, port: int, latency_ms: float, tokens_per_second: float) -> None:
    """Serve the built-in scripted model as an OpenAI-compatible endpoint.

    It is no language model: it answers by fixed rules, for tests and benchmarks without a key.
    Point any OpenAI client, or OPENAI_COMPATIBLE_BASE_URL of a server, at http://HOST:PORT/v1.
    """
    from actors.models.scripted_server import run_scripted_server  # noqa: PLC0415

    def ready(url: str) -> None:
        _say(f"Ready on {url} (Ctrl-C stops it)")

    run_scripted_server(host, port, latency_ms=latency_ms, tokens_per_second=tokens_per_second, ready=ready)


@command.command()
@options("data", "host", "port", "password", "ray_address")
@click.option(
    "--repair",
    is_flag=True,
    help="Mend what can be mended: cut the damaged end off a shard's write-ahead log, keeping a copy.",
)
def doctor(repair: bool, **given: Any) -> None:
    """Check the store, the disk, Ray, the providers and the port.

    Says what is wrong and how to mend it, and exits with 1 if something is.
    """
    settings = settings_from(given)
    from server.doctor import examine  # noqa: PLC0415

    sys.exit(0 if examine(settings, repair=repair, say=click.echo) else 1)


@command.command()
def version() -> None:
    """Print the version."""
    click.echo(VERSION)


def main() -> None:
    """Run the command: exit code 1 for a failure, 2 for a mistake in its use."""
    try:
        command()
    except GreenroomError as error:
        click.echo(f"greenroom: {error.message}", err=True)
        sys.exit(1)


def _say(line: str) -> None:
    click.echo(line, err=True)
