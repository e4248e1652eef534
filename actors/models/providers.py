"""The model providers: where they are, and which environment variables turn them on."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from storage.errors import InvalidArgument

GREENROOM = "greenroom"
"""Name of the built-in provider, whose only model is the scripted one."""
SCRIPTED = f"{GREENROOM}/scripted"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of provider. One with an ``url`` is turned on by its key, another by its address."""

    name: str
    """First part of the handles."""
    type: str
    """The API's ``provider_type``."""
    endpoint_type: str
    """The API's ``model_endpoint_type``."""
    url: str | None
    url_variable: str | None
    key_variable: str | None
    rooted: bool = False
    """Whether its address may be given without the ``/v1`` that the protocol is served under."""

    @property
    def variable(self) -> str:
        """The environment variable that turns it on."""
        return str(self.key_variable if self.url else self.url_variable)


# fmt: off
KINDS = [
    Kind("openai", "openai", "openai",
         "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    Kind("anthropic", "anthropic", "anthropic",
         "https://api.anthropic.com/v1", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    Kind("google_ai", "google_ai", "google_ai",
         "https://generativelanguage.googleapis.com/v1beta/openai", None, "GEMINI_API_KEY"),
    Kind("groq", "groq", "groq",
         "https://api.groq.com/openai/v1", None, "GROQ_API_KEY"),
    Kind("together", "together", "together",
         "https://api.together.xyz/v1", None, "TOGETHER_API_KEY"),
    Kind("deepseek", "deepseek", "deepseek",
         "https://api.deepseek.com/v1", None, "DEEPSEEK_API_KEY"),
    Kind("mistral", "mistral", "mistral",
         "https://api.mistral.ai/v1", None, "MISTRAL_API_KEY"),
    Kind("xai", "xai", "xai",
         "https://api.x.ai/v1", None, "XAI_API_KEY"),
    Kind("openrouter", "openrouter", "openrouter",
         "https://openrouter.ai/api/v1", None, "OPENROUTER_API_KEY"),
    Kind("ollama", "ollama", "ollama",
         None, "OLLAMA_BASE_URL", None, rooted=True),
    Kind("vllm", "vllm", "vllm",
         None, "VLLM_API_BASE", "VLLM_API_KEY", rooted=True),
    Kind("lmstudio_openai", "lmstudio_openai", "lmstudio",
         None, "LMSTUDIO_BASE_URL", None, rooted=True),
    Kind("llamacpp", "openai", "llamacpp",
         None, "LLAMACPP_BASE_URL", "LLAMACPP_API_KEY", rooted=True),
    Kind("openai-compatible", "openai", "openai",
         None, "OPENAI_COMPATIBLE_BASE_URL", "OPENAI_COMPATIBLE_API_KEY"),
]
# fmt: on


class Provider(BaseModel):
    """A place that serves models over the OpenAI protocol."""

    model_config = ConfigDict(frozen=True)

    name: str
    """As in the handle ``<name>/<model>``."""
    type: str
    """The API's ``provider_type``."""
    endpoint_type: str
    """The API's ``model_endpoint_type``."""
    base_url: str
    api_key: SecretStr | None = None
    variable: str
    """The environment variable that turned it on."""


def providers_from_environment(env: Mapping[str, str]) -> list[Provider]:
    """The providers that these variables configure. An empty variable counts as unset.

    Raises:
        InvalidArgument: a variable that names an address holds something else.
    """
    found = []
    for kind in KINDS:
        if not _get(env, kind.variable):
            continue
        key = _get(env, kind.key_variable)
        found.append(
            Provider(
                name=kind.name,
                type=kind.type,
                endpoint_type=kind.endpoint_type,
                base_url=_address(kind, env),
                api_key=SecretStr(key) if key else None,
                variable=kind.variable,
            )
        )
    return found


def _get(env: Mapping[str, str], variable: str | None) -> str:
    return env.get(variable, "").strip() if variable else ""


def _address(kind: Kind, env: Mapping[str, str]) -> str:
    url = (_get(env, kind.url_variable) or str(kind.url)).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"{kind.url_variable} must be an http or https address, not {url!r}")
    # Local servers are usually given by their root.
    return f"{url}/v1" if kind.rooted and not url.endswith("/v1") else url
