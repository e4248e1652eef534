"""Which models are listed, and what handles mean."""

import asyncio

import letta_client.types as api
import pytest
from aiohttp import web
from pydantic import SecretStr

from actors.models import Catalog, Provider, local, providers_from_environment
from actors.models.providers import KINDS
from actors.models.scripted_server import make_app
from storage.errors import InvalidArgument, NotFound

ADDRESS = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def without_extra(monkeypatch):
    """As if the local embedding model were not installed."""
    monkeypatch.setattr(local, "installed", lambda: False)


def provider(url, name="vllm", endpoint_type="vllm"):
    return Provider(
        name=name,
        type=name,
        endpoint_type=endpoint_type,
        base_url=url,
        api_key=SecretStr("sk-secret-0123456789"),
        variable="SOME_VARIABLE",
    )


def listing(*rows):
    asked = []

    async def handler(request):
        asked.append(request.headers)
        return web.json_response({"data": list(rows)})

    handler.asked = asked
    return handler


def test_nothing_is_configured_by_an_empty_environment():
    assert providers_from_environment({"OPENAI_API_KEY": "", "OLLAMA_BASE_URL": "  "}) == []


def test_every_provider_is_turned_on_by_its_variable_and_has_types_that_clients_know():
    environment = {kind.variable: "sk-secret" if kind.url else ADDRESS for kind in KINDS}
    found = providers_from_environment(environment)
    assert [one.name for one in found] == [kind.name for kind in KINDS]
    endpoint_types = api.Model.model_fields["api_model_endpoint_type"].annotation.__args__
    for one in found:
        assert one.type in api.ProviderType.__args__
        assert one.endpoint_type in endpoint_types
        assert one.base_url.startswith("http")
    assert "sk-secret" not in repr(found)


def test_an_address_may_be_a_servers_root_and_must_be_one():
    [one] = providers_from_environment({"OLLAMA_BASE_URL": "http://localhost:11434/"})
    assert one.base_url == "http://localhost:11434/v1"
    [one] = providers_from_environment({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://proxy/openai"})
    assert one.base_url == "http://proxy/openai"
    with pytest.raises(InvalidArgument, match="OLLAMA_BASE_URL"):
        providers_from_environment({"OLLAMA_BASE_URL": "localhost"})


async def test_the_scripted_model_is_always_there():
    catalog = Catalog([])
    [model] = await catalog.list_models()
    [embedding] = await catalog.list_embeddings()
    assert model.handle == embedding.handle == "greenroom/scripted"
    api.Model.model_validate(model.model_dump(mode="json"))
    assert model.provider_type in api.ProviderType.__args__


async def test_the_local_embedding_model_is_there_when_it_is_installed(monkeypatch):
    catalog = Catalog([])
    with pytest.raises(InvalidArgument, match="pip install"):
        await catalog.resolve_embedding("local/wordllama")
    monkeypatch.setattr(local, "installed", lambda: True)
    embedding = (await catalog.list_embeddings())[-1]
    assert (embedding.handle, embedding.embedding_dim) == ("local/wordllama", 256)
    api.EmbeddingModel.model_validate(embedding.model_dump(mode="json"))
    assert (await catalog.resolve_embedding("local/wordllama"))["embedding_dim"] == 256


async def test_a_providers_list_is_sorted_into_models_and_embeddings(serve):
    rows = [
        {"id": "qwen3-32b", "max_model_len": 40_960},
        {"id": "gpt-4o"},
        {"id": "never-heard-of-it"},
        {"id": "text-embedding-3-small"},
        {"id": "embed-of-unknown-size"},
        {"id": "whisper-1"},
        {"id": "a-reranker", "type": "rerank"},
        {"name": "no id"},
        "no object",
    ]
    catalog = Catalog([provider(await serve(listing(*rows)))])
    windows = {model.handle: model.max_context_window for model in (await catalog.list_models())[1:]}
    assert windows == {"vllm/qwen3-32b": 40_960, "vllm/gpt-4o": 128_000, "vllm/never-heard-of-it": 32_768}
    sizes = {one.handle: one.embedding_dim for one in (await catalog.list_embeddings())[1:]}
    assert sizes == {"vllm/text-embedding-3-small": 1536}
    assert catalog.problems == {}


async def test_the_list_is_asked_for_once(serve):
    handler = listing({"id": "m"})
    catalog = Catalog([provider(await serve(handler))])
    for _ in range(3):
        await catalog.list_models()
        await catalog.resolve("vllm/m")
    assert len(handler.asked) == 1
    assert handler.asked[0]["Authorization"] == "Bearer sk-secret-0123456789"


async def test_a_provider_that_failed_is_asked_again_sooner(serve, monkeypatch):
    monkeypatch.setattr("actors.models.catalog.FAILURE_IS_FRESH", 0)
    asked = []

    async def recovering(request):
        asked.append(request)
        return web.json_response({"data": [{"id": "m"}]}, status=200 if len(asked) > 1 else 503)

    catalog = Catalog([provider(await serve(recovering))])
    assert len(await catalog.list_models()) == 1
    assert "503" in catalog.problems["vllm"]
    assert len(await catalog.list_models()) == 2
    assert catalog.problems == {}


async def test_a_handle_is_looked_up_at_its_own_provider_only(serve):
    mine, other = listing({"id": "m"}), listing({"id": "m"})
    catalog = Catalog([provider(await serve(mine)), provider(await serve(other), "ollama", "ollama")])
    await catalog.resolve("vllm/m")
    assert (len(mine.asked), len(other.asked)) == (1, 0)


async def test_anthropic_is_asked_in_its_own_way(serve):
    handler = listing({"id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5"})
    catalog = Catalog([provider(await serve(handler), "anthropic", "anthropic")])
    [_, model] = await catalog.list_models()
    assert model.display_name == "Claude Sonnet 4.5"
    assert handler.asked[0]["x-api-key"] == "sk-secret-0123456789"
    assert "anthropic-version" in handler.asked[0]


async def test_providers_that_do_not_answer_are_left_out_with_the_reason(serve, monkeypatch):
    monkeypatch.setattr("actors.models.catalog.LISTING_SECONDS", 0.2)

    async def page(request):
        return web.Response(text="<html>", content_type="text/html")

    async def refuse(request):
        return web.Response(status=401)

    async def hang(request):
        await asyncio.Event().wait()

    async def other(request):
        return web.json_response({"models": "elsewhere"})

    catalog = Catalog(
        [
            provider(await serve(make_app()), "good"),
            provider(f"{ADDRESS}/v1", "closed"),
            provider(await serve(page), "page"),
            provider(await serve(refuse), "refuse"),
            provider(await serve(other), "other"),
            provider(await serve(hang), "hang"),
        ]
    )
    assert [model.handle for model in await catalog.list_models()] == ["greenroom/scripted", "good/scripted"]
    assert set(catalog.problems) == {"closed", "page", "refuse", "other", "hang"}
    assert "401" in catalog.problems["refuse"]
    assert "0.2 seconds" in catalog.problems["hang"]
    assert "sk-secret" not in str(catalog.problems)


async def test_a_handle_becomes_a_configuration(serve):
    url = await serve(listing({"id": "big", "context_length": 1_000_000}))
    llm = await Catalog([provider(url)]).resolve("vllm/big")
    assert (llm.model, llm.provider_name, llm.model_endpoint_type) == ("big", "vllm", "vllm")
    assert llm.model_endpoint == url
    assert llm.context_window == 128_000


async def test_models_that_are_not_listed_are_accepted_even_with_slashes():
    catalog = Catalog([provider(f"{ADDRESS}/v1")])
    assert (await catalog.resolve("vllm/meta/llama-3.1-8b")).model == "meta/llama-3.1-8b"


@pytest.mark.parametrize("handle", ["scripted", "/x", "x/", ""])
async def test_what_is_no_handle(handle):
    with pytest.raises(InvalidArgument, match="provider/model"):
        await Catalog([]).resolve(handle)


async def test_an_unknown_handle_names_those_that_work_and_the_variable_to_set():
    with pytest.raises(NotFound) as caught:
        await Catalog([]).resolve("anthropic/claude-sonnet-4-5")
    assert "Handle anthropic/claude-sonnet-4-5 not found, must be one of ['greenroom/scripted']" in str(
        caught.value
    )
    assert "set ANTHROPIC_API_KEY" in str(caught.value)
    with pytest.raises(NotFound) as caught:
        await Catalog([]).resolve("nobody/nothing")
    assert "set" not in str(caught.value).split("]")[1]


async def test_embedding_handles(serve):
    catalog = Catalog([provider(await serve(make_app()))])
    here = await catalog.resolve_embedding("greenroom/scripted")
    assert here["embedding_dim"] == 256
    api.EmbeddingConfig.model_validate(here)
    assert (await catalog.resolve_embedding("vllm/text-embedding-3-large"))["embedding_dim"] == 3072
    assert (await catalog.resolve_embedding("vllm/some-embedder"))["embedding_dim"] == 256, "it is measured"


@pytest.mark.parametrize("handle", ["nobody/x", "vllm", "vllm/x"])
async def test_unknown_embeddings_are_refused(handle):
    with pytest.raises(InvalidArgument, match=f"Embedding model {handle} not found"):
        await Catalog([provider(f"{ADDRESS}/v1")]).resolve_embedding(handle)
