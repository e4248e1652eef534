"""Whatever happens in whatever order, the store has what a plain model in memory has."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from storage import documents, state, writer
from storage.commits import BlockWrite, Delta
from storage.errors import NotFound
from storage.queries import AgentQuery, BlockQuery, MessageQuery, RunQuery, StepQuery
from storage.records import Block, Message, Run
from tests.storage.made import (
    Committer,
    make_block,
    make_message,
    make_run,
    make_step,
    open_shard,
    write_block,
)

picks = st.integers(0, 1000)


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.agents: dict[str, Committer] = {}
        self.deleted: set[str] = set()
        self.blocks: dict[str, Block] = {}
        self.messages: dict[str, list[Message]] = {}
        self.runs: dict[str, Run] = {}
        self.steps: dict[str, str] = {}
        self.shard = open_shard(self.folder)

    def pick(self, number: int) -> Committer | None:
        agents = list(self.agents.values())
        return agents[number % len(agents)] if agents else None

    @rule(count=st.integers(0, 2))
    def create(self, count) -> None:
        made = [make_block(value="old") for _ in range(count)]
        agent = Committer(self.shard, blocks=made)
        self.agents[agent.id] = agent
        self.blocks.update((block.id, block) for block in made)
        self.messages[agent.id] = list(agent.state.context)

    @rule(
        number=picks, texts=st.lists(st.text(max_size=5), max_size=3), keep=st.booleans(), ends=st.booleans()
    )
    def step(self, number, texts, keep, ends) -> None:
        agent = self.pick(number)
        if agent is None:
            return
        run = agent.state.run or make_run(agent.id)
        run = run.model_copy(update={"steps": run.steps + 1, "status": "completed" if ends else "running"})
        step = make_step(agent.id, run.id)
        messages = [make_message(agent.id, content=text, run_id=run.id) for text in texts]
        context = None if keep else [agent.state.context[0].id, *(message.id for message in messages)]
        agent.change(Delta(messages=messages, context=context, run=run, step=step))
        self.messages[agent.id] += messages
        self.runs[run.id] = run
        self.steps[step.id] = agent.id

    @rule(number=picks, text=st.text(max_size=5))
    def edit(self, number, text) -> None:
        if agent := self.pick(number):
            agent.change(Delta(agent={"name": text, "tags": [text]}, system=text))
            system = agent.state.context[0]
            self.messages[agent.id] = [
                system if message.id == system.id else message for message in self.messages[agent.id]
            ]

    @rule(number=picks, which=picks, text=st.text(max_size=5), alone=st.booleans(), gone=st.booleans())
    def write(self, number, which, text, alone, gone) -> None:
        agent = self.pick(number)
        if agent is None or not self.blocks:
            return
        old = list(self.blocks.values())[which % len(self.blocks)]
        new = old.model_copy(update={"value": text, "version": old.version + 1, "deleted": gone and alone})
        if alone:
            write_block(self.shard, new, old.version)
        else:
            agent.change(Delta(), [BlockWrite(new, old.version)])
        self.blocks[new.id] = new
        if new.deleted:
            del self.blocks[new.id]

    @rule(number=picks)
    def delete(self, number) -> None:
        if agent := self.pick(number):
            agent.delete()
            del self.agents[agent.id]
            self.deleted.add(agent.id)
            del self.messages[agent.id]
            self.runs = {key: run for key, run in self.runs.items() if run.agent_id != agent.id}
            self.steps = {key: owner for key, owner in self.steps.items() if owner != agent.id}

    @rule(crash=st.booleans())
    def reopen(self, crash) -> None:
        """Stop the shard; as a crash leaves it, with nothing but the log to go by, or properly."""
        if crash:
            self.shard._writer._checkpoint = lambda force: None
            self.shard._writer._save_watermark = lambda: None
        self.shard.close()
        self.shard = open_shard(self.folder)
        for agent in self.agents.values():
            agent.shard = self.shard

    @rule()
    def look(self) -> None:
        """Listings; they wait until everything is derived, so looking also changes what comes next."""
        shard = self.shard
        expected = sorted(self.agents, reverse=True)
        assert [key.id for key in shard.find_agents(AgentQuery(limit=1000))] == expected
        for agent_id, messages in self.messages.items():
            found = shard.messages(MessageQuery(agent_id=agent_id, limit=1000))
            assert found == messages
            assert [message.ordinal for message in found] == list(range(len(found)))
        assert len(shard.messages(MessageQuery(limit=1000))) == sum(map(len, self.messages.values()))
        assert {run.id: run for run in shard.runs(RunQuery(limit=1000))} == self.runs
        assert {step.id: step.agent_id for step in shard.steps(StepQuery(limit=1000))} == self.steps
        assert {block.id: block for block in shard.find_blocks(BlockQuery(limit=1000))} == self.blocks
        for agent in self.agents.values():
            tags = AgentQuery(name=agent.state.agent.name, tags=agent.state.agent.tags, limit=1000)
            assert agent.id in {key.id for key in shard.find_agents(tags)}
        assert shard.stats()["unreadable_entries"] == 0

    @invariant()
    def agents_and_blocks_are_as_in_the_model(self) -> None:
        loaded = self.shard.load_many(list(self.agents))
        assert [(each.seq, each.state) for each in loaded] == [
            (agent.seq, agent.state) for agent in self.agents.values()
        ]
        assert self.shard.blocks(list(self.blocks)) == list(self.blocks.values())
        for agent_id in self.deleted:
            with pytest.raises(NotFound):
                self.shard.load(agent_id)

    def teardown(self) -> None:
        if hasattr(self, "shard"):
            self.shard.close()
            del self.shard, self.agents
            shutil.rmtree(self.folder)


@pytest.fixture(params=["as it is", "hurried", "late"])
def pace(request, monkeypatch) -> None:
    """Hurried: tails are folded and caches emptied all the time. Late: only long tails are folded."""
    if request.param == "late":
        monkeypatch.setattr(state, "TAIL_ENTRIES", 3)
        monkeypatch.setattr(state, "FOLDED_AT_ONCE", 1)
        monkeypatch.setattr(writer, "QUIET_SECONDS", 1000)
    if request.param == "hurried":
        monkeypatch.setattr(state, "TAIL_ENTRIES", 3)
        monkeypatch.setattr(state, "LAG", 5)
        monkeypatch.setattr(state, "HEADS", 2)
        monkeypatch.setattr(state, "FOLDED_AT_ONCE", 2)
        monkeypatch.setattr(documents, "VERSIONS", 2)
        monkeypatch.setattr(writer, "DERIVED_AT_ONCE", 3)
        monkeypatch.setattr(writer, "QUIET_SECONDS", 0)
        monkeypatch.setattr(writer, "LINGER_SECONDS", 0)
        monkeypatch.setattr(writer, "BACKLOG", 4)


def test_the_store_is_what_the_log_adds_up_to(pace):
    run_state_machine_as_test(
        StoreMachine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
