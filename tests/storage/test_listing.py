"""Listings against a naive model: the same filters, written as plain Python."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.commits import Delta
from storage.errors import NotFound
from storage.ids import new_id
from storage.queries import AgentQuery, BlockQuery, MessageQuery, RunQuery, StepQuery
from storage.records import Agent, Block, Message, Run, Step, now
from tests.storage.made import (
    Committer,
    make_block,
    make_message,
    make_run,
    make_step,
    open_shard,
    write_block,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
ENDLESS = 1000
"""More records than there are: the pages go round in circles."""
NAMES = ["ann", "Anna", "bob", "50%", "a_b", None]
TAGS = ["red", "green", "blue"]
TEXTS = ["Hello there", "hello 50% off", "", "Straße a_b", 'say "hi"\nplease']


class Fleet:
    """A shard with all kinds of records, and the records themselves."""

    def __init__(self, shard) -> None:
        self.shard = shard
        self.blocks: list[Block] = []
        self.agents: list[Agent] = []
        self.messages: list[Message] = []
        self.runs: list[Run] = []
        self.steps: list[Step] = []
        self.owner: dict[str, str] = {}
        for number in range(12):
            block = make_block(
                label=["human", "persona", "Notes"][number % 3],
                value=TEXTS[number % 5],
                description=[None, "About x", "50%"][number % 3],
                name=NAMES[number % 6],
                is_template=number % 4 == 0,
                hidden=[None, False, True][number % 3],
                project_id=["p", None][number % 2],
                tags=TAGS[: number % 4],
            )
            write_block(shard, block, None)
            self.blocks.append(block)
        for number in range(13):
            self._add_agent(number)
        doomed = Committer(shard, tags=["gone"])
        self._add_history(doomed, 3, keep=False)
        doomed.delete()

    def _add_agent(self, number: int) -> None:
        committer = Committer(
            self.shard,
            name=NAMES[number % 5],
            tags=TAGS[number % 3 : number % 4],
            project_id=["p", "q", None][number % 3],
            template_id=["t", None][number % 2],
            base_template_id=["t", None][number // 2 % 2],
            identity_ids=["i", "j"][: number % 3],
            created_by_id=["c", None][number % 2],
            hidden=[None, False, True][number % 3],
        )
        first = len(self.messages)
        self.messages.append(committer.state.context[0])
        self._add_history(committer, number, keep=True)
        self.owner.update((message.id, committer.id) for message in self.messages[first:])
        finished = [None, START + timedelta(days=number % 4)][number % 2]
        committer.change(
            Delta(
                agent={
                    "block_ids": [block.id for block in self.blocks[: number % 4]],
                    "updated_at": (START + timedelta(hours=number % 5)).isoformat(),
                    "last_run_completion": finished and finished.isoformat(),
                    "last_stop_reason": ["end_turn", "error", None][number % 3],
                }
            )
        )
        self.agents.append(committer.state.agent)

    def _add_history(self, committer: Committer, number: int, keep: bool) -> None:
        run = make_run(
            committer.id,
            background=number % 2 == 0,
            conversation_id=["c", None][number % 2],
            stop_reason=["end_turn", None, "error"][number % 3],
        )
        for turn in range(number % 4):
            step = make_step(
                committer.id,
                run.id,
                model=["m", "n"][turn % 2],
                feedback=["positive", "negative", None][turn % 3],
                tags=TAGS[: turn % 3],
                created_at=START + timedelta(minutes=number * 10 + turn),
            )
            messages = [
                make_message(
                    committer.id,
                    role=role,
                    content=TEXTS[(number + turn + place) % 5],
                    run_id=run.id,
                    step_id=step.id,
                    created_at=START + timedelta(minutes=number * 10 + turn),
                )
                for place, role in enumerate(["user", "assistant", "tool"])
            ]
            done = turn == 2
            run = run.model_copy(update={"status": "completed" if done else "running", "steps": turn + 1})
            committer.change(Delta(messages=messages, run=run, step=step))
            if keep:
                self.messages += messages
                self.steps.append(step)
        if run.steps and keep:
            self.runs.append(run)

    @property
    def projects(self) -> dict[str, str | None]:
        return {agent.id: agent.project_id for agent in self.agents}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    shard = open_shard(tmp_path_factory.mktemp("fleet"))
    yield Fleet(shard)
    shard.close()


many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def query(model, /, **filters):
    """A query of this kind with any of these filters set."""
    return st.fixed_dictionaries({}, optional=filters).map(
        lambda set_filters: model(limit=1000, **set_filters)
    )


def one_of(*values):
    return st.sampled_from(values)


tags = st.lists(one_of(*TAGS, "gone"), max_size=2, unique=True)


def has_tags(record, asked) -> bool:
    return not asked.tags or (all if asked.match_all_tags else any)(tag in record.tags for tag in asked.tags)


def holds(part: str | None, text: str | None) -> bool:
    return part is None or (text is not None and part.lower() in text.lower())


def equals(record, asked, *names) -> bool:
    return all(
        getattr(asked, name) is None or getattr(asked, name) == getattr(record, name) for name in names
    )


agent_queries = query(
    AgentQuery,
    name=one_of("ann", "50%", "zoe"),
    query_text=one_of("AN", "%", "_", "nn"),
    tags=tags,
    match_all_tags=st.booleans(),
    project_id=one_of("p", "z"),
    template_id=one_of("t"),
    base_template_id=one_of("t"),
    identity_id=one_of("i", "j"),
    created_by_id=one_of("c"),
    last_stop_reason=one_of("error", "end_turn"),
    hidden=st.booleans(),
    order_by=one_of("created_at", "updated_at", "last_run_completion"),
    descending=st.booleans(),
)


def matching_agents(fleet: Fleet, asked: AgentQuery) -> list[str]:
    found = [
        agent
        for agent in fleet.agents
        if equals(
            agent,
            asked,
            *("name", "project_id", "template_id", "base_template_id", "created_by_id", "last_stop_reason"),
        )
        and holds(asked.query_text, agent.name)
        and has_tags(agent, asked)
        and (asked.identity_id is None or asked.identity_id in agent.identity_ids)
        and (asked.block_id is None or asked.block_id in agent.block_ids)
        and (asked.hidden or not agent.hidden)
    ]
    found.sort(key=lambda agent: agent.id, reverse=asked.descending)
    with_value = [agent for agent in found if getattr(agent, asked.order_by) is not None]
    if asked.order_by != "created_at":
        with_value.sort(key=lambda agent: getattr(agent, asked.order_by), reverse=asked.descending)
    without = [agent for agent in found if getattr(agent, asked.order_by) is None]
    return [agent.id for agent in with_value + without]


@many
@given(asked=agent_queries, block=one_of(None, 0, 2))
def test_agents_match_the_model(fleet, asked, block):
    if block is not None:
        asked.block_id = fleet.blocks[block].id
    found = fleet.shard.find_agents(asked)
    expected = matching_agents(fleet, asked)
    assert [key.id for key in found] == expected
    assert fleet.shard.count_agents(asked) == len(expected)
    assert sorted(found, key=lambda key: key.order(asked.descending)) == found, "shards can be merged"


@many
@given(
    asked=query(
        BlockQuery,
        label=one_of("human", "Notes"),
        name=one_of("ann"),
        templates_only=st.booleans(),
        label_search=one_of("N", "%"),
        description_search=one_of("about", "%"),
        value_search=one_of("HELLO", "50%", "_"),
        project_id=one_of("p"),
        tags=tags,
        match_all_tags=st.booleans(),
        agents_eq=st.lists(st.integers(0, 9), max_size=3),
        agents_gt=st.integers(0, 9),
        agents_lt=st.integers(0, 9),
        hidden=st.booleans(),
        descending=st.booleans(),
    ),
    elsewhere=st.none() | st.integers(0, 3),
)
def test_blocks_match_the_model(fleet, asked, elsewhere):
    attached = {
        block.id: sum(block.id in agent.block_ids for agent in fleet.agents) for block in fleet.blocks
    }
    if elsewhere is not None:
        attached[fleet.blocks[5].id] += elsewhere

    def matches(block: Block) -> bool:
        agents = attached[block.id]
        return (
            equals(block, asked, "label", "name", "project_id")
            and holds(asked.label_search, block.label)
            and holds(asked.description_search, block.description)
            and holds(asked.value_search, block.value)
            and (block.is_template or not asked.templates_only)
            and has_tags(block, asked)
            and (not asked.agents_eq or agents in asked.agents_eq)
            and (asked.agents_gt is None or agents > asked.agents_gt)
            and (asked.agents_lt is None or agents < asked.agents_lt)
            and (asked.hidden or not block.hidden)
        )

    expected = [block for block in fleet.blocks if matches(block)]
    given_counts = None if elsewhere is None else attached
    assert fleet.shard.count_blocks(asked, given_counts) == len(expected)
    assert fleet.shard.find_blocks(asked, given_counts) == (expected[::-1] if asked.descending else expected)


moments = st.integers(-1, 140).map(lambda minutes: START + timedelta(minutes=minutes))


@many
@given(
    asked=query(
        MessageQuery,
        roles=st.lists(one_of("user", "assistant", "system"), max_size=2),
        words=st.lists(one_of("HELLO", "50%", "straße", "_", '"hi"', "zz"), max_size=2),
        start=moments,
        end=moments,
        descending=st.booleans(),
    ),
    data=st.data(),
)
def test_messages_match_the_model(fleet, asked, data):
    asked.agent_id = data.draw(one_of(None, *fleet.projects))
    asked.run_id = data.draw(one_of(None, None, *(run.id for run in fleet.runs)))
    asked.step_id = data.draw(one_of(None, None, *(step.id for step in fleet.steps)))
    expected = [
        message
        for message in fleet.messages
        if (asked.agent_id is None or fleet.owner[message.id] == asked.agent_id)
        and equals(message, asked, "run_id", "step_id")
        and (not asked.roles or message.role in asked.roles)
        and all(holds(word, message.text()) for word in asked.words)
        and (asked.start is None or message.created_at >= asked.start)
        and (asked.end is None or message.created_at <= asked.end)
    ]
    assert fleet.shard.messages(asked) == expected


@many
@given(
    asked=query(
        RunQuery,
        statuses=st.lists(one_of("running", "completed", "failed"), max_size=2),
        stop_reason=one_of("end_turn", "error"),
        background=st.booleans(),
        conversation_id=one_of("c", "d"),
        descending=st.booleans(),
    ),
    agents=st.lists(st.integers(0, 12), max_size=3),
)
def test_runs_match_the_model(fleet, asked, agents):
    asked.agent_ids = [fleet.agents[number].id for number in agents]
    expected = [
        run
        for run in fleet.runs
        if equals(run, asked, "stop_reason", "background", "conversation_id")
        and (not asked.statuses or run.status in asked.statuses)
        and (not agents or run.agent_id in asked.agent_ids)
    ]
    assert fleet.shard.runs(asked) == (expected[::-1] if asked.descending else expected)


@many
@given(
    asked=query(
        StepQuery,
        model=one_of("m", "z"),
        feedback=one_of("positive", "negative"),
        has_feedback=st.booleans(),
        tags=tags,
        start=moments,
        end=moments,
        project_id=one_of("p", "z"),
        descending=st.booleans(),
    ),
    data=st.data(),
)
def test_steps_match_the_model(fleet, asked, data):
    asked.agent_id = data.draw(one_of(None, None, *fleet.projects))
    asked.run_id = data.draw(one_of(None, None, *(run.id for run in fleet.runs)))
    expected = [
        step
        for step in fleet.steps
        if equals(step, asked, "agent_id", "run_id", "model", "feedback")
        and (asked.has_feedback is None or (step.feedback is not None) == asked.has_feedback)
        and (not asked.tags or set(asked.tags) & set(step.tags))
        and (asked.start is None or step.created_at >= asked.start)
        and (asked.end is None or step.created_at <= asked.end)
        and (asked.project_id is None or fleet.projects[step.agent_id] == asked.project_id)
    ]
    assert fleet.shard.steps(asked) == (expected[::-1] if asked.descending else expected)


def walk(page_of, page, forwards: bool) -> list[str]:
    """All ids of a listing, page by page from one of its ends."""
    ids: list[str] = []
    while found := page_of(page):
        ids = [*ids, *found] if forwards else [*found, *ids]
        assert len(ids) < ENDLESS
        cursor = {"after": found[-1]} if forwards else {"before": found[0]}
        page = page.model_copy(update={"after": None, "before": None} | cursor)
    return ids


@many
@given(asked=agent_queries, limit=st.integers(1, 7), forwards=st.booleans())
def test_pages_of_agents_are_complete(fleet, asked, limit, forwards):
    expected = matching_agents(fleet, asked)
    if not forwards and expected:
        # Going back begins at the last agent.
        asked.before = expected[-1]
        expected = expected[:-1]
    asked.limit = limit
    found = walk(lambda page: [key.id for key in fleet.shard.find_agents(page)], asked, forwards)
    assert found == expected


@many
@given(
    kind=one_of("find_blocks", "runs", "steps"),
    limit=st.integers(1, 7),
    descending=st.booleans(),
    forwards=st.booleans(),
)
def test_pages_of_other_records_are_complete(fleet, kind, limit, descending, forwards):
    model = {"find_blocks": BlockQuery, "runs": RunQuery, "steps": StepQuery}[kind]
    asked = model(limit=limit, descending=descending)
    hidden = {"hidden": True} if kind == "find_blocks" else {}
    asked = asked.model_copy(update=hidden)
    records = {"find_blocks": fleet.blocks, "runs": fleet.runs, "steps": fleet.steps}[kind]
    expected = sorted((record.id for record in records), reverse=descending)
    if not forwards:
        asked.before = expected.pop()
    found = walk(lambda page: [record.id for record in getattr(fleet.shard, kind)(page)], asked, forwards)
    assert found == expected


@many
@given(limit=st.integers(1, 9), newest_first=st.booleans(), agent=st.none() | st.integers(0, 12))
def test_pages_of_messages_are_complete(fleet, limit, newest_first, agent):
    agent_id = None if agent is None else fleet.agents[agent].id
    expected = [m.id for m in fleet.messages if agent_id is None or fleet.owner[m.id] == agent_id]
    asked = MessageQuery(agent_id=agent_id, limit=limit, descending=newest_first)
    ids: list[str] = []
    while found := [message.id for message in fleet.shard.messages(asked)]:
        ids = [*found, *ids] if newest_first else [*ids, *found]
        assert len(ids) < ENDLESS
        cursor = {"before": found[0]} if newest_first else {"after": found[-1]}
        asked = asked.model_copy(update=cursor)
    assert ids == expected


def test_a_page_may_lie_between_two_cursors(fleet):
    ids = [step.id for step in fleet.steps]
    found = fleet.shard.steps(StepQuery(descending=False, after=ids[2], before=ids[7], limit=3))
    assert [step.id for step in found] == ids[3:6]
    messages = [message.id for message in fleet.messages]
    asked = MessageQuery(after=messages[2], before=messages[7], limit=3)
    assert [message.id for message in fleet.shard.messages(asked)] == messages[4:7]


def test_unknown_cursors(fleet):
    unknown = new_id("message")
    for agent_id in (None, fleet.agents[0].id):
        for cursor in ({"after": unknown}, {"before": "message-7"}):
            with pytest.raises(NotFound, match="No message found with id"):
                fleet.shard.messages(MessageQuery(agent_id=agent_id, **cursor))
    other = fleet.agents[1].id
    theirs = next(message for message in fleet.messages if fleet.owner[message.id] != other)
    with pytest.raises(NotFound):
        fleet.shard.messages(MessageQuery(agent_id=other, after=theirs.id))
    asked = AgentQuery(after=new_id("agent"), order_by="updated_at", hidden=True)
    assert len(fleet.shard.find_agents(asked)) == len(fleet.agents)


def test_single_records(fleet):
    shard = fleet.shard
    assert shard.message(fleet.messages[3].id) == fleet.messages[3]
    assert shard.run(fleet.runs[1].id) == fleet.runs[1]
    assert shard.step(fleet.steps[2].id) == fleet.steps[2]
    for read, prefix in ((shard.message, "message"), (shard.run, "run"), (shard.step, "step")):
        for identifier in (new_id(prefix), "x", fleet.agents[0].id):
            with pytest.raises(NotFound, match=f"No {prefix} found"):
                read(identifier)


def test_tags_are_listed_once_without_those_of_the_deleted(fleet):
    assert fleet.shard.tags() == sorted(TAGS)


def test_attached_agents_are_counted(fleet):
    counts = fleet.shard.block_agents()
    assert counts == {
        block.id: count
        for block in fleet.blocks
        if (count := sum(block.id in agent.block_ids for agent in fleet.agents))
    }


def test_all_words_of_a_message_are_searched(shard):
    ann = Committer(shard)
    message = make_message(
        ann.id,
        role="assistant",
        reasoning="Because of TEA",
        tool_calls=[{"id": "1", "name": "note", "arguments": '{"text": "biscuits"}'}],
    )
    answer = make_message(
        ann.id,
        role="tool",
        tool_returns=[{"tool_call_id": "1", "name": "note", "status": "success", "content": "Noted"}],
    )
    ann.change(Delta(messages=[message, answer]))
    for word, expected in (("tea", message), ("BISCUITS", message), ("noted", answer)):
        assert shard.messages(MessageQuery(words=[word])) == [expected]


def test_a_new_system_prompt_replaces_the_text_of_its_message(shard):
    ann = Committer(shard)
    ann.say("hello")
    ann.change(Delta(system="you are anna"))
    first, second = shard.messages(MessageQuery(agent_id=ann.id))
    assert (first.content, first.ordinal, second.content) == ("you are anna", 0, "hello")
    assert shard.messages(MessageQuery(words=["anna"])) == [first]
    # The context begins anew, with another system message.
    fresh = make_message(ann.id, role="system", content="fresh")
    ann.change(Delta(messages=[fresh], context=[fresh.id], system="fresh again"))
    assert [m.content for m in shard.messages(MessageQuery(agent_id=ann.id))] == [
        "you are anna",
        "hello",
        "fresh again",
    ]


def test_a_later_version_of_a_run_or_step_replaces_the_first(shard):
    ann = Committer(shard)
    run = make_run(ann.id)
    step = make_step(ann.id, run.id)
    ann.change(Delta(run=run, step=step))
    assert (shard.runs(RunQuery()), shard.steps(StepQuery())) == ([run], [step])
    ended = run.model_copy(update={"status": "completed", "completed_at": now()})
    rated = step.model_copy(update={"feedback": "positive"})
    ann.change(Delta(run=ended, step=rated))
    assert (shard.runs(RunQuery()), shard.steps(StepQuery())) == ([ended], [rated])
    assert shard.runs(RunQuery(statuses=["running"])) == []
