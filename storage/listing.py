"""Listings: queries over the history tables, one page at a time."""

from typing import Any, NamedTuple
from uuid import UUID

from storage.blocks import read_block
from storage.database import Database, utc
from storage.documents import read_document
from storage.errors import NotFound
from storage.ids import is_id, slot_of, uuid_of
from storage.queries import (
    AgentKey,
    AgentQuery,
    BlockQuery,
    DocumentQuery,
    MessageQuery,
    Page,
    RunQuery,
    StepQuery,
    VersionQuery,
)
from storage.records import Block, Document, Message, Run, Step
from storage.sql import statements
from storage.versions import read_version

_SQL = statements("listing") | statements("versions")
_NOTHING = UUID(int=0)


class Span(NamedTuple):
    """The part of a listing by id that a page is taken from."""

    above: UUID | None
    below: UUID | None
    down: bool
    """The page begins at the upper end."""
    backwards: bool
    """The page was read from its end and has to be turned round."""

    @classmethod
    def of(cls, page: Page) -> "Span":
        after, before = _uuid(page.after), _uuid(page.before)
        above, below = (before, after) if page.descending else (after, before)
        backwards = page.before is not None and page.after is None
        return cls(above, below, page.descending != backwards, backwards)


class Listing:
    """Lists one shard's history, as far as it is derived."""

    def __init__(self, database: Database, index: int, shards: int) -> None:
        """
        Args:
            index: which shard it is.
            shards: number of shards of the store.
        """
        self._database = database
        self._index = index
        self._shards = shards

    def agent_key(self, agent_id: str, order_by: str) -> AgentKey | None:
        """What an agent is sorted by; None if it does not exist."""
        if order_by == "created_at":
            return AgentKey(agent_id)
        rows = self._database.rows(_SQL["agent_moments"], {"id": _uuid(agent_id)})
        return next((AgentKey(agent_id, row[order_by != "updated_at"]) for row in rows), None)

    def agents(self, query: AgentQuery, after: AgentKey | None, before: AgentKey | None) -> list[AgentKey]:
        backwards = before is not None and after is None
        sign = -1 if query.descending else 1
        order = _SQL["agent_down" if query.descending != backwards else "agent_up"]
        rows = self._database.rows(
            "\n".join([_SQL["agents"], _SQL["agent_page"], order]),
            _agent_filter(query)
            | {
                "after_id": after and uuid_of(after.id),
                "after_place": after and after.place(sign),
                "before_id": before and uuid_of(before.id),
                "before_place": before and before.place(sign),
                "way": -1 if backwards else 1,
                "limit": query.limit,
            },
        )
        found = [AgentKey(f"agent-{uuid}", value) for value, uuid in rows]
        return found[::-1] if backwards else found

    def count_agents(self, query: AgentQuery) -> int:
        sql = "\n".join([_SQL["agents"], _SQL["count_agents"]])
        [(count,)] = self._database.rows(sql, _agent_filter(query))
        return int(count)

    def block_agents(self) -> dict[str, int]:
        """How many agents of this shard each block is attached to; those of none are missing."""
        return dict(self._database.rows(_SQL["block_agents"]))

    def blocks(self, query: BlockQuery, attached: dict[str, int] | None) -> list[Block]:
        matching = "\n".join([_SQL["blocks"], _SQL["block_page"]])
        rows = self._page(matching, "", self._block_filter(query, attached), query)
        return [read_block(value, body) for _, value, body in rows]

    def count_blocks(self, query: BlockQuery, attached: dict[str, int] | None) -> int:
        sql = "\n".join([_SQL["blocks"], _SQL["count_blocks"]])
        [(count,)] = self._database.rows(sql, self._block_filter(query, attached))
        return int(count)

    def _block_filter(self, query: BlockQuery, attached: dict[str, int] | None) -> dict[str, Any]:
        if attached is None:
            counted = query.agents_eq or query.agents_gt is not None or query.agents_lt is not None
            attached = self.block_agents() if counted else {}
        return query.model_dump(exclude=set(Page.model_fields)) | {
            "attached": [uuid_of(block_id) for block_id in attached],
            "agents": list(attached.values()),
            "hidden": query.hidden,
        }

    def documents(self, query: DocumentQuery) -> list[Document]:
        values = {"kind": query.kind, "name": query.name}
        rows = self._page(_SQL["documents"], _SQL["where_documents"], values, query)
        return [read_document(kind, body) for _, kind, body in rows]

    def block_versions(self, query: VersionQuery) -> list[Block]:
        rows = self._database.rows(
            "\n".join([_SQL["versions"], _SQL["version_down" if query.descending else "version_up"]]),
            query.model_dump(exclude={"block_id", "descending"}) | {"id": _uuid(query.block_id)},
        )
        return [read_version(record) for (record,) in rows]

    def messages(self, query: MessageQuery) -> list[Message]:
        above, below = self._cursor(query.after, query), self._cursor(query.before, query)
        by_ordinal = query.agent_id is not None
        if by_ordinal:
            order = _SQL["message_down" if query.descending else "message_up"]
        else:
            order = _SQL["down" if query.descending else "up"]
        rows = self._database.rows(
            "\n".join([_SQL["messages"], order]),
            {
                "agent_id": _uuid(query.agent_id),
                "above_ordinal": above if by_ordinal else None,
                "below_ordinal": below if by_ordinal else None,
                "above_id": None if by_ordinal else _uuid(query.after),
                "below_id": None if by_ordinal else _uuid(query.before),
                "run_id": _uuid(query.run_id),
                "step_id": _uuid(query.step_id),
                "roles": query.roles,
                "words": sorted((word.lower() for word in query.words), key=len, reverse=True),
                "start": query.start and utc(query.start),
                "end": query.end and utc(query.end),
                "limit": query.limit,
            },
        )
        messages = [Message.model_validate_json(body) for (body,) in rows]
        return messages[::-1] if query.descending else messages

    def _cursor(self, message_id: str | None, query: MessageQuery) -> int | None:
        """The ordinal of a cursor. Across agents, another shard may be the one that knows it."""
        if message_id is None:
            return None
        known = is_id(message_id, "message")
        if known and query.agent_id is None and slot_of(message_id) % self._shards != self._index:
            return None
        values = {"id": _uuid(message_id), "agent_id": _uuid(query.agent_id)}
        rows = self._database.rows(_SQL["ordinal"], values) if known else []
        if not rows:
            raise NotFound(f"No message found with id {message_id}.")
        return int(rows[0][0])

    def runs(self, query: RunQuery) -> list[Run]:
        values = query.model_dump(exclude=set(Page.model_fields))
        values["agent_ids"] = [_uuid(agent_id) for agent_id in query.agent_ids]
        rows = self._page(_SQL["runs"], _SQL["where_runs"], values, query)
        return [Run.model_validate_json(body) for (body,) in rows]

    def steps(self, query: StepQuery) -> list[Step]:
        values = query.model_dump(exclude=set(Page.model_fields)) | {
            "agent_id": _uuid(query.agent_id),
            "run_id": _uuid(query.run_id),
            "start": query.start and utc(query.start),
            "end": query.end and utc(query.end),
        }
        rows = self._page(_SQL["steps"], _SQL["where_steps"], values, query)
        return [Step.model_validate_json(body) for (body,) in rows]

    def _page(self, source: str, filters: str, values: dict[str, Any], page: Page) -> list[tuple[Any, ...]]:
        span = Span.of(page)
        rows = self._database.rows(
            "\n".join([source, _SQL["page"], filters, _SQL["down" if span.down else "up"]]),
            values | {"above": span.above, "below": span.below, "limit": page.limit},
        )
        return rows[::-1] if span.backwards else rows

    def message(self, message_id: str) -> Message:
        return Message.model_validate_json(self._body("message", message_id))

    def messages_of(self, agent_id: str, ids: list[str]) -> list[Message]:
        values = {"agent_id": _uuid(agent_id), "ids": [_uuid(each) for each in ids]}
        rows = self._database.rows(_SQL["messages_of"], values)
        return [Message.model_validate_json(body) for (body,) in rows]

    def message_agent(self, message_id: str) -> str:
        return f"agent-{self._body('message_agent', message_id)}"

    def run(self, run_id: str) -> Run:
        return Run.model_validate_json(self._body("run", run_id))

    def step(self, step_id: str) -> Step:
        return Step.model_validate_json(self._body("step", step_id))

    def _body(self, statement: str, wanted: str) -> str:
        kind = statement.partition("_")[0]
        rows = self._database.rows(_SQL[statement], {"id": _uuid(wanted)}) if is_id(wanted, kind) else []
        if not rows:
            raise NotFound(f"No {kind} found with id {wanted}.")
        return str(rows[0][0])

    def tags(self) -> list[str]:
        return [tag for (tag,) in self._database.rows(_SQL["tags"])]


def _agent_filter(query: AgentQuery) -> dict[str, Any]:
    sign = {"sign": -1 if query.descending else 1}
    return query.model_dump(exclude=set(Page.model_fields)) | sign


def _uuid(identifier: str | None) -> UUID | None:
    """What the tables have for an id; for text that is no id, something they never have."""
    if identifier is None:
        return None
    return uuid_of(identifier) if is_id(identifier, identifier.partition("-")[0]) else _NOTHING
