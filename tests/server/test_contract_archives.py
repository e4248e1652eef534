"""Archives, passages and archival memory: over REST and as tools."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from letta_client import (
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    UnprocessableEntityError,
)

UNKNOWN = "00000000-0000-4000-8000-000000000000"
IN_PROCESS = "greenroom/scripted"
OVER_HTTP = "openai/scripted"
OTHER_SIZE = "openai/text-embedding-3-small"
"""By its name its vectors have 1536 numbers; the endpoint answers with 256."""
TOOLS = ["archival_memory_insert", "archival_memory_search"]


@pytest.fixture
def make_archive(client):
    created = []

    def make(name="Notes", **fields):
        archive = client.archives.create(name=name, **fields)
        created.append(archive.id)
        return archive

    yield make
    for archive_id in created:
        with suppress(NotFoundError):
            client.archives.delete(archive_id)


@pytest.fixture
def archive(make_archive):
    return make_archive()


@pytest.fixture
def keeper(make_agent):
    """An agent with the archival tools."""
    return make_agent(tools=TOOLS, name="keeper")


def texts(passages):
    return [passage.text for passage in passages]


def found(client, **query):
    return [hit.passage.text for hit in client.passages.search(**query)]


def tell(client, agent, *calls):
    """Have an agent call tools; what they returned."""
    lines = [f"call {name} {json.dumps(arguments)}" for name, arguments in calls]
    answer = client.agents.messages.create(agent.id, input="\n".join(lines))
    assert answer.stop_reason.stop_reason == "end_turn"
    [message] = [each for each in answer.messages if each.message_type == "tool_return_message"]
    assert len(message.tool_returns) == len(calls)
    return message if len(calls) == 1 else message.tool_returns


def insert(client, agent, content, **more):
    return tell(client, agent, ("archival_memory_insert", {"content": content, **more}))


def search(client, agent, query, **more):
    answer = tell(client, agent, ("archival_memory_search", {"query": query, **more}))
    assert answer.status == "success", answer.tool_return
    return json.loads(answer.tool_return)


def prompt(client, agent):
    messages = client.agents.messages.list(agent.id, order="asc").items
    return next(message.content for message in messages if message.message_type == "system_message")


class TestArchives:
    def test_a_new_archive_has_the_documented_defaults(self, client, archive):
        assert archive.id.startswith("archive-")
        assert (archive.name, archive.description, archive.metadata) == ("Notes", None, {})
        assert (archive.embedding_config, archive.vector_db_provider) == (None, "native")
        assert client.archives.retrieve(archive.id) == archive

    @pytest.mark.parametrize("handle", [IN_PROCESS, OVER_HTTP])
    def test_an_archive_has_the_embedding_model_it_was_made_with(self, make_archive, handle):
        config = make_archive(embedding=handle).embedding_config

        assert (config.handle, config.embedding_dim) == (handle, 256)
        older = {"embedding_dim": 256, "embedding_endpoint_type": "openai", "embedding_model": "scripted"}
        assert make_archive(embedding_config=older).embedding_config.handle == OVER_HTTP

    def test_an_unknown_embedding_model_is_refused(self, make_archive):
        with pytest.raises(BadRequestError, match="Embedding model nobody/knows not found"):
            make_archive(embedding="nobody/knows")

    def test_an_update_changes_what_it_names(self, client, archive):
        changed = client.archives.update(archive.id, description="d")
        assert (changed.name, changed.description) == ("Notes", "d")
        assert client.archives.update(archive.id, name="Diary").description == "d"
        assert client.archives.retrieve(archive.id).name == "Diary"

    def test_a_deleted_archive_is_gone_with_its_passages(self, client, http, archive):
        client.archives.passages.create(archive.id, text="lost with the archive")
        assert http.delete(f"/v1/archives/{archive.id}").status_code == 204

        for gone in (
            client.archives.retrieve,
            client.archives.delete,
            lambda each: client.archives.update(each, name="x"),
            lambda each: client.archives.passages.create(each, text="x"),
            lambda each: client.passages.search(archive_id=each),
        ):
            with pytest.raises(NotFoundError):
                gone(archive.id)
        assert "lost with the archive" not in found(client, query="lost with the archive")

    def test_archives_are_listed(self, client, make_archive, make_agent):
        made = [make_archive(name="listed").id for _ in range(3)]
        make_archive(name="listed as well")
        agent = make_agent()
        client.agents.archives.attach(made[0], agent_id=agent.id)

        def listed(**filters):
            return [each.id for each in client.archives.list(**filters).items]

        assert listed(name="listed") == made[::-1]
        assert listed(name="listed", order="asc", limit=2) == made[:2]
        assert listed(name="listed", after=made[1]) == made[:1]
        assert listed(name="listed", before=made[1], limit=1) == made[2:]
        assert [each.id for each in client.archives.list(name="listed", limit=1)] == made[::-1]
        assert [each.id for each in client.archives.list(agent_id=agent.id)] == made[:1]
        assert listed(agent_id=agent.id, name="other") == []
        with pytest.raises(NotFoundError):
            listed(after=f"archive-{UNKNOWN}")

    def test_ids_are_checked(self, client, agent):
        for call in (
            lambda: client.archives.retrieve("archive-1"),
            lambda: client.archives.passages.create("nonsense", text="x"),
            lambda: client.agents.archives.attach("archive-1", agent_id=agent.id),
            lambda: client.passages.search(archive_id="archive-1"),
        ):
            with pytest.raises(BadRequestError, match="INVALID_ARGUMENT"):
                call()
        for call in (
            lambda: client.archives.retrieve(f"archive-{UNKNOWN}"),
            lambda: client.agents.archives.attach(f"archive-{UNKNOWN}", agent_id=agent.id),
            lambda: client.agents.archives.detach(f"archive-{UNKNOWN}", agent_id=agent.id),
            lambda: client.passages.search(agent_id=f"agent-{UNKNOWN}", query="x"),
        ):
            with pytest.raises(NotFoundError):
                call()

    def test_an_archive_needs_a_name(self, http):
        for body in ({}, {"name": ""}, {"name": 1}):
            assert http.post("/v1/archives/", json=body).status_code == 422


class TestPassages:
    def test_a_new_passage_has_the_documented_fields(self, client, http, archive):
        made = client.archives.passages.create(
            archive.id, text="Tea.", tags=["a", "b", "a"], metadata={"k": 1}, created_at="2024-05-01T10:00:00"
        )
        assert (made.text, made.archive_id, made.tags, made.metadata) == (
            "Tea.",
            archive.id,
            ["a", "b"],
            {"k": 1},
        )
        assert made.created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
        raw = http.post(f"/v1/archives/{archive.id}/passages", json={"text": "x"}).json()
        assert (raw["embedding"], raw["embedding_config"], raw["is_deleted"]) == (None, None, False)

    @pytest.mark.parametrize("handle", [IN_PROCESS, OVER_HTTP])
    def test_a_passage_is_embedded(self, client, make_archive, handle):
        archive = make_archive(embedding=handle)
        passage = client.archives.passages.create(archive.id, text="The cat sat on the mat")

        assert len(passage.embedding) == 256
        assert sum(number**2 for number in passage.embedding) == pytest.approx(1)
        assert passage.embedding_config == archive.embedding_config

    def test_many_passages_are_stored_together(self, client, archive):
        rows = [{"text": f"passage {number}", "tags": [str(number)]} for number in range(300)]
        made = client.archives.passages.create_many(archive.id, passages=rows)

        assert texts(made) == [row["text"] for row in rows]
        assert found(client, archive_id=archive.id, tags=["7"]) == ["passage 7"]
        assert client.archives.passages.create_many(archive.id, passages=[]) == []

    def test_of_a_batch_all_are_stored_or_none(self, client, archive):
        with pytest.raises(BadRequestError):
            client.archives.passages.create_many(archive.id, passages=[{"text": "good"}, {"text": " "}])
        assert found(client, archive_id=archive.id) == []

    @pytest.mark.parametrize("text", ["", " \n"])
    def test_an_empty_text_is_refused(self, client, agent, archive, text):
        for create in (
            lambda: client.archives.passages.create(archive.id, text=text),
            lambda: client.agents.passages.create(agent.id, text=text),
        ):
            with pytest.raises(BadRequestError, match="empty"):
                create()

    def test_a_search_needs_words(self, client, agent):
        with pytest.raises(BadRequestError, match="empty"):
            client.agents.passages.search(agent.id, query=" ")
        with pytest.raises(UnprocessableEntityError):
            client.agents.passages.search(agent.id, query="x", top_k=0)

    def test_a_huge_text_is_refused(self, client, agent, archive):
        client.archives.passages.create(archive.id, text="word " * 5_000)
        for create in (
            lambda: client.archives.passages.create(archive.id, text="word " * 12_000),
            lambda: client.agents.passages.create(agent.id, text="word " * 12_000),
        ):
            with pytest.raises(BadRequestError, match="8192"):
                create()
        assert client.archives.list(agent_id=agent.id).items == []

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"text": 1},
            {"text": "x", "tags": "a"},
            {"text": "x", "tags": [1]},
            {"text": "x", "tags": [""]},
            {"text": "x", "created_at": "yesterday"},
            {"text": "x", "created_at": "0001-01-01T00:00:00+14:00"},
            {"text": "x", "metadata": []},
        ],
    )
    def test_a_malformed_passage_is_refused(self, http, agent, archive, body):
        for path in (f"archives/{archive.id}/passages", f"agents/{agent.id}/archival-memory"):
            assert http.post(f"/v1/{path}", json=body).status_code == 422

    def test_a_deleted_passage_is_gone(self, client, http, make_archive):
        archive, other = make_archive(), make_archive()
        passage = client.archives.passages.create(archive.id, text="x")
        with pytest.raises(NotFoundError):
            client.archives.passages.delete(passage.id, archive_id=other.id)
        path = f"/v1/archives/{archive.id}/passages"
        assert http.delete(f"{path}/{passage.id}").status_code == 204
        assert found(client, archive_id=archive.id) == []
        assert http.delete(f"{path}/{passage.id}").status_code == 404
        assert http.delete(f"{path}/passage-1").status_code == 422

    def test_an_embedding_that_fails_stores_nothing(self, client, make_archive):
        archive = make_archive(embedding=OVER_HTTP)
        with pytest.raises(InternalServerError, match="llm_error"):
            client.archives.passages.create(archive.id, text="fault: 500")
        with pytest.raises(APIStatusError, match="llm_rate_limit"):
            client.archives.passages.create_many(
                archive.id, passages=[{"text": "good"}, {"text": "fault: 429"}]
            )
        assert found(client, archive_id=archive.id) == []

    def test_vectors_of_another_size_are_refused(self, client, make_archive):
        archive = make_archive(embedding=OTHER_SIZE)
        with pytest.raises(BadRequestError, match=r"256 numbers.*1536.*new archive"):
            client.archives.passages.create(archive.id, text="x")
        with pytest.raises(BadRequestError, match="256 numbers"):
            client.passages.search(archive_id=archive.id, query="x")
        assert found(client, archive_id=archive.id) == []


class TestSearch:
    @pytest.fixture(params=[None, IN_PROCESS, OVER_HTTP])
    def filled(self, client, make_archive, request):
        archive = make_archive(**({"embedding": request.param} if request.param else {}))
        rows = [
            ("The cat sleeps on the sofa", ["pets"], "2024-01-01T00:00:00Z"),
            ("The dog sleeps in the garden", ["pets", "outside"], "2024-02-01T00:00:00Z"),
            ("Tomatoes grow in the garden", ["outside"], "2024-03-01T00:00:00Z"),
        ]
        client.archives.passages.create_many(
            archive.id, passages=[{"text": text, "tags": tags, "created_at": at} for text, tags, at in rows]
        )
        return archive

    def test_the_best_match_comes_first(self, client, filled):
        hits = client.passages.search(archive_id=filled.id, query="tomatoes garden")
        assert hits[0].passage.text == "Tomatoes grow in the garden"
        assert hits[0].passage.embedding_config == filled.embedding_config
        assert hits[0].score > hits[1].score
        assert len(client.passages.search(archive_id=filled.id, query="tomatoes garden", limit=1)) == 1

    def test_filters(self, client, filled):
        def search(**filters):
            return sorted(
                text.split()[1] for text in found(client, archive_id=filled.id, query="the", **filters)
            )

        assert search() == ["cat", "dog", "grow"]
        assert search(tags=["pets", "outside"]) == ["cat", "dog", "grow"]
        assert search(tags=["pets", "outside"], tag_match_mode="all") == ["dog"]
        assert search(start_date="2024-02-01T00:00:00Z") == ["dog", "grow"]
        assert search(end_date="2024-01-31") == ["cat"]

    def test_without_a_query_the_newest_come_first(self, client, filled):
        assert [text.split()[0] for text in found(client, archive_id=filled.id)] == ["Tomatoes", "The", "The"]
        assert found(client, archive_id=filled.id, limit=1, tags=["pets"]) == ["The dog sleeps in the garden"]

    def test_all_archives_are_searched_by_words(self, client, make_archive):
        for _ in range(4):
            client.archives.passages.create(make_archive().id, text="a quokka was here")
        client.archives.passages.create(make_archive(embedding=IN_PROCESS).id, text="a quokka, embedded")

        assert len(found(client, query="quokka")) == 5
        assert len(found(client, query="quokka", limit=2)) == 2
        assert len(found(client, limit=3)) == 3

    def test_bad_searches_are_refused(self, http, archive):
        for body in (
            {"limit": 0},
            {"limit": 101},
            {"tag_match_mode": "some"},
            {"start_date": "soon"},
            {"tags": [1]},
            {"agent_id": "agent-1"},
        ):
            assert http.post("/v1/passages/search", json=body).status_code == 422, body


class TestAgents:
    def test_an_agent_has_one_archive(self, client, http, make_agent, make_archive):
        agent, first, second = make_agent(), make_archive(), make_archive()

        assert http.patch(f"/v1/agents/{agent.id}/archives/attach/{first.id}").json() is None
        client.agents.archives.attach(first.id, agent_id=agent.id)
        with pytest.raises(BadRequestError, match=first.id):
            client.agents.archives.attach(second.id, agent_id=agent.id)
        assert [each.id for each in client.archives.list(agent_id=agent.id)] == [first.id]
        agents = http.get(f"/v1/archives/{first.id}/agents").json()
        assert [each["id"] for each in agents] == [agent.id]

        client.agents.archives.detach(first.id, agent_id=agent.id)
        client.agents.archives.detach(first.id, agent_id=agent.id)
        client.agents.archives.attach(second.id, agent_id=agent.id)
        assert [each.id for each in client.archives.list(agent_id=agent.id)] == [second.id]
        client.archives.delete(second.id)
        assert client.archives.list(agent_id=agent.id).items == []
        client.agents.archives.attach(first.id, agent_id=agent.id)

    def test_the_first_passage_makes_an_archive(self, client, make_agent):
        agent = make_agent(name="Ann", embedding=IN_PROCESS)
        assert client.agents.passages.list(agent.id) == []
        assert client.agents.passages.search(agent.id, query="x").count == 0

        [passage] = client.agents.passages.create(agent.id, text="first", tags=["t", "t"])
        client.agents.passages.create(agent.id, text="second")

        [archive] = client.archives.list(agent_id=agent.id).items
        assert (archive.name, archive.id) == ("Ann's Archive", passage.archive_id)
        assert archive.embedding_config == agent.embedding_config
        assert (passage.tags, len(passage.embedding)) == (["t"], 256)
        assert texts(client.agents.passages.list(agent.id)) == ["first", "second"]

    def test_passages_are_listed(self, client, agent):
        made = [
            client.agents.passages.create(agent.id, text=f"Line {number}", created_at=f"202{number}-01-01")[
                0
            ].id
            for number in (2, 1, 3)
        ]

        def listed(**filters):
            return [text[-1] for text in texts(client.agents.passages.list(agent.id, **filters))]

        assert listed() == ["1", "2", "3"]
        assert listed(ascending=False, limit=2) == ["3", "2"]
        assert listed(after=made[0]) == ["3"]
        assert listed(before=made[0]) == ["1"]
        assert listed(search="line 2") == ["2"]
        with pytest.raises(NotFoundError):
            listed(after=f"passage-{UNKNOWN}")

    def test_a_search_has_times_in_the_agents_zone(self, client, make_agent):
        agent = make_agent(timezone="Asia/Tokyo")
        client.agents.passages.create(agent.id, text="red fox", tags=["a"], created_at="2024-01-01T00:00:00Z")
        client.agents.passages.create(
            agent.id, text="blue fox", tags=["b"], created_at="2024-01-02T00:00:00Z"
        )

        def search(**filters):
            return [
                hit.content for hit in client.agents.passages.search(agent.id, query="fox", **filters).results
            ]

        done = client.agents.passages.search(agent.id, query="red")
        assert (done.count, done.results[0].timestamp) == (1, "2024-01-01T09:00:00+09:00")
        assert (done.results[0].tags, done.results[0].content) == (["a"], "red fox")
        assert sorted(search()) == ["blue fox", "red fox"]
        assert len(search(top_k=1)) == 1
        assert search(tags=["b"]) == ["blue fox"]
        assert search(tags=["a", "b"], tag_match_mode="all") == []
        assert search(end_datetime="2024-01-01T12:00:00Z") == ["red fox"]
        assert search(start_datetime="2024-01-01T12:00:00Z") == ["blue fox"]

    def test_a_passage_is_deleted_from_the_agents_archive_only(self, client, http, make_agent):
        agent, other = make_agent(), make_agent()
        [passage] = client.agents.passages.create(agent.id, text="x")
        client.agents.passages.create(other.id, text="y")
        for stranger in (other, make_agent()):
            with pytest.raises(NotFoundError):
                client.agents.passages.delete(passage.id, agent_id=stranger.id)
        answer = http.delete(f"/v1/agents/{agent.id}/archival-memory/{passage.id}")
        assert answer.json() == {"message": f"Memory id={passage.id} successfully deleted"}
        assert client.agents.passages.list(agent.id) == []
        with pytest.raises(NotFoundError):
            client.agents.passages.delete(passage.id, agent_id=agent.id)
        with pytest.raises(UnprocessableEntityError):
            client.agents.passages.delete("passage-1", agent_id=agent.id)

    def test_its_own_archive_goes_with_the_agent_unless_another_has_it(
        self, client, make_agent, make_archive
    ):
        own, shared, friend = make_agent(), make_agent(), make_agent()
        mine, ours = (
            client.agents.passages.create(each.id, text="x")[0].archive_id for each in (own, shared)
        )
        client.agents.archives.attach(ours, agent_id=friend.id)
        given = make_archive()
        third = make_agent()
        client.agents.archives.attach(given.id, agent_id=third.id)

        for agent in (own, shared, third):
            client.agents.delete(agent.id)

        with pytest.raises(NotFoundError):
            client.archives.retrieve(mine)
        assert client.archives.retrieve(given.id) == given
        assert texts(client.agents.passages.list(friend.id)) == ["x"]


class TestTools:
    @pytest.mark.parametrize("embedding", [None, IN_PROCESS, OVER_HTTP])
    def test_what_an_agent_inserts_it_finds_again(self, client, make_agent, embedding):
        agent = make_agent(tools=TOOLS, **({"embedding": embedding} if embedding else {}))

        returned = insert(client, agent, "Sarah is allergic to peanuts", tags=["health", "sarah"])
        assert (returned.status, returned.tool_return) == ("success", "None")
        insert(client, agent, "The office is in Lisbon", tags=["work"])

        hits = search(client, agent, "peanuts allergic")
        assert hits[0]["content"] == "Sarah is allergic to peanuts"
        assert hits[0]["tags"] == ["health", "sarah"]
        assert datetime.fromisoformat(hits[0]["timestamp"])
        assert search(client, agent, "peanuts", tags=["work", "health"], tag_match_mode="all") == []
        assert len(search(client, agent, "is", top_k=1)) == 1
        assert search(client, agent, "is", end_datetime="2020-01-01") == []
        stored = client.agents.passages.list(agent.id)
        assert texts(stored) == ["Sarah is allergic to peanuts", "The office is in Lisbon"]
        assert [passage.embedding is not None for passage in stored] == [embedding is not None] * 2

    def test_the_prompt_says_what_is_stored(self, client, keeper):
        assert "archival memory" not in prompt(client, keeper).partition("<memory_metadata>")[2]

        insert(client, keeper, "one", tags=["b", "a"])
        assert "- 1 total memories you created are stored in archival memory" in prompt(client, keeper)
        assert "- Available archival memory tags: a, b\n" in prompt(client, keeper)

        client.agents.passages.create(keeper.id, text="two", tags=["c"])
        insert(client, keeper, "three")
        assert "- 3 total memories" in prompt(client, keeper)
        assert "tags: a, b, c\n" in prompt(client, keeper)

        client.agents.passages.create(keeper.id, text="four")
        client.agents.blocks.update("human", agent_id=keeper.id, value="Changed.")
        client.agents.messages.create(keeper.id, input="hello")
        assert "- 4 total memories" in prompt(client, keeper)

    def test_several_inserts_in_one_step(self, client, keeper):
        calls = [("archival_memory_insert", {"content": f"fact {number}"}) for number in range(3)]
        assert [each.status for each in tell(client, keeper, *calls)] == ["success"] * 3
        assert texts(client.agents.passages.list(keeper.id)) == ["fact 0", "fact 1", "fact 2"]
        assert len(client.archives.list(agent_id=keeper.id).items) == 1

    def test_an_attached_archive_of_any_shard_is_used(self, client, keeper, make_archive):
        archives = [make_archive() for _ in range(6)]
        for archive in archives:
            client.agents.archives.attach(archive.id, agent_id=keeper.id)
            insert(client, keeper, "kept")
            assert found(client, archive_id=archive.id) == ["kept"]
            assert "- 1 total memories" in prompt(client, keeper)
            client.agents.archives.detach(archive.id, agent_id=keeper.id)

    def test_an_agent_whose_archive_was_deleted_gets_a_new_one(self, client, keeper):
        insert(client, keeper, "old")
        client.archives.delete(client.archives.list(agent_id=keeper.id).items[0].id)
        assert search(client, keeper, "old") == []
        insert(client, keeper, "new")
        assert texts(client.agents.passages.list(keeper.id)) == ["new"]

    @pytest.mark.parametrize(
        ("tool", "arguments", "words"),
        [
            ("archival_memory_insert", {"content": " "}, "empty"),
            ("archival_memory_insert", {"content": "word " * 12_000}, "8192"),
            ("archival_memory_insert", {"content": "x", "tags": "a"}, "tags"),
            ("archival_memory_insert", {"content": "x", "tags": [1]}, "tags"),
            ("archival_memory_insert", {}, "content"),
            ("archival_memory_search", {"query": ""}, "empty"),
            ("archival_memory_search", {"query": "x", "top_k": 0}, "top_k"),
            ("archival_memory_search", {"query": "x", "tag_match_mode": "none"}, "tag_match_mode"),
            (
                "archival_memory_search",
                {"query": "x", "start_datetime": "soon"},
                "Invalid start_datetime format",
            ),
        ],
    )
    def test_what_is_wrong_is_told_to_the_model(self, client, keeper, tool, arguments, words):
        client.agents.passages.create(keeper.id, text="kept")
        returned = tell(client, keeper, (tool, arguments))
        assert returned.status == "error"
        assert words in returned.tool_return
        assert texts(client.agents.passages.list(keeper.id)) == ["kept"]

    def test_an_embedding_that_fails_is_told_to_the_model(self, client, make_agent):
        agent = make_agent(tools=TOOLS, embedding=OVER_HTTP)
        returned = insert(client, agent, "fault: 500")
        assert returned.status == "error"
        assert "Error executing function archival_memory_insert: ModelError" in returned.tool_return
        assert client.agents.passages.list(agent.id) == []
        assert insert(client, agent, "good").status == "success"

    def test_vectors_of_another_size_are_told_to_the_model(self, client, make_agent):
        agent = make_agent(tools=TOOLS, embedding=OTHER_SIZE)
        assert "new archive" in insert(client, agent, "x").tool_return
        assert client.agents.passages.list(agent.id) == []
        assert client.archives.list(agent_id=agent.id).items == []


class TestLocalModel:
    """The embedding model of the extra, in a process of its own."""

    HANDLE = "local/wordllama"

    def test_it_is_listed(self, client):
        [listed] = [each for each in client.models.embeddings.list() if each.handle == self.HANDLE]
        assert (listed.embedding_dim, listed.provider_name) == (256, "local")

    def test_other_words_with_the_same_meaning_are_found(self, client, make_agent, make_archive):
        agent = make_agent(tools=TOOLS, embedding=self.HANDLE)
        insert(client, agent, "The kitten naps on the sofa")
        insert(client, agent, "Taxes are due in April")
        client.agents.passages.create(agent.id, text="It rains in the mountains")

        assert search(client, agent, "Where does the cat sleep?")[0]["content"].startswith("The kitten")
        best = client.agents.passages.search(agent.id, query="revenue payment deadline").results[0]
        assert best.content.startswith("Taxes")

    def test_many_texts_at_once(self, client, make_archive):
        archive = make_archive(embedding=self.HANDLE)
        rows = [{"text": f"number {number}"} for number in range(600)]
        made = client.archives.passages.create_many(archive.id, passages=rows)
        assert {len(passage.embedding) for passage in made} == {256}
        [best, *_] = client.passages.search(archive_id=archive.id, query="number 17")
        assert best.score == pytest.approx(1, abs=1e-4)
