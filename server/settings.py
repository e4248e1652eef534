"""Everything that can be set: one field is the environment variable, the flag and its help at once."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from actors.options import Options

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(Options, BaseSettings):
    """Settings of ``greenroom serve``; a flag wins over its ``GREENROOM_*`` variable."""

    model_config = SettingsConfigDict(
        env_prefix="GREENROOM_", extra="forbid", env_ignore_empty=True, validate_default=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on; any but loopback needs a password.")
    port: int = Field(8283, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    password: SecretStr | None = Field(
        None,
        min_length=8,
        description="What clients must send as their API key. Rather set the variable: flags show in ps.",
    )
    log_level: LogLevel = Field("info", description="How much to log; debug has a line for each request.")
    max_body_mb: float = Field(50, gt=0, description="Longest body of a request; longer ones get 413.")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        [],
        description="Further web origins that may call the API, separated by commas; * is any. "
        "Pages on this machine always may.",
    )
    keepalive: float = Field(
        20, gt=0, description="Seconds of silence in an event stream after which a ping is sent."
    )
    default_model: str | None = Field(
        None, description="Model handle of agents that are created without one; without it that is a 400."
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [origin.strip().rstrip("/") for origin in value.split(",") if origin.strip()]
        return value

    @field_validator("data")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _password_beyond_loopback(self) -> Self:
        if self.password is None and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines, so a password is needed: "
                "set GREENROOM_PASSWORD, or listen on 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether an address or a host name means this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
