"""Command-line options made from the fields of the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from server.settings import Settings

Command = TypeVar("Command", bound=Callable[..., None])


def options(*names: str) -> Callable[[Command], Command]:
    """Give a command an option for each of these settings; for all of them when none is named."""

    own = tuple(Settings.__annotations__)
    every = own + tuple(name for name in Settings.model_fields if name not in own)

    def decorate(command: Command) -> Command:
        for name in reversed(names or every):
            command = _option(name, Settings.model_fields[name])(command)
        return command

    return decorate


def settings_from(given: dict[str, Any]) -> Settings:
    """Settings from flags and environment.

    Raises:
        click.UsageError: names the flag and the variable of each wrong value.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError("\n".join(_complaint(item) for item in error.errors())) from None


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return f"{Settings.model_config.get('env_prefix', '')}{name.upper()}"


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    facts = [variable(name)]
    if field.default not in (None, []):
        facts.append(f"default: {field.default}")
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return click.option(
        flag(name),
        name,
        help=f"{field.description}  [{'; '.join(facts)}]",
        type=click.Choice(choices) if choices else str,
        metavar=None if choices else _metavar(field),
    )


def _metavar(field: FieldInfo) -> str:
    kinds = (field.annotation, *get_args(field.annotation))
    return "N" if int in kinds or float in kinds else "DIR" if Path in kinds else "TEXT"


def _complaint(item: Any) -> str:
    message: str = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return message
    name = str(item["loc"][0])
    return f"{flag(name)} ({variable(name)}): {message}"
