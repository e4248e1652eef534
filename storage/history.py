"""The history tables: what is listed and searched, derived from the log in small batches."""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from storage.commits import Delta, State
from storage.database import Database, utc
from storage.ids import uuid_of
from storage.log import BlockVersion, DocumentVersion, LogRow
from storage.passages import passage_row
from storage.records import Agent, Message, Passage, Run, Step
from storage.sql import statements
from storage.vectors import Vectors
from storage.versions import version_row

_SQL = statements("history")
_TABLES = (
    "agent",
    "message",
    "step",
    "run",
    "block",
    "block_version",
    "document",
    "passage",
    "deleted_passage",
)
_HEADS = ("block_head", "document_head")
_log = logging.getLogger(__name__)


class AgentRow(NamedTuple):
    """What an agent is listed by; the fields are the table's columns."""

    id: UUID
    name: str
    tags: list[str]
    project_id: str | None
    template_id: str | None
    base_template_id: str | None
    identity_ids: list[str]
    created_by_id: str | None
    last_stop_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_run_completion: datetime | None
    hidden: bool | None
    block_ids: list[str]
    system_id: str | None
    """The message that a new system prompt replaces the text of."""
    history: int
    """Ordinal of the next message."""
    grouped: bool | None
    archive_ids: list[str]
    embedding: str | None
    """Handle of its own embedding model."""
    embedding_lsn: int
    """The log entry since which it has that model."""


_LISTED = set(AgentRow._fields) & set(Agent.model_fields) - {"id"}
_MOMENTS = {"created_at", "updated_at", "last_run_completion"}


class MessageRow(NamedTuple):
    id: UUID
    agent_id: UUID
    ordinal: int
    role: str
    created_at: datetime
    run_id: UUID | None
    step_id: UUID | None
    text: str
    body: str
    lsn: int


class History:
    """Derives the tables of one shard; used by the writer's thread."""

    def __init__(self, database: Database, derived: int, vectors: Vectors) -> None:
        """
        Args:
            derived: number of the log entry up to which the tables are complete.
            vectors: told of archives that lose passages, and of deleted agents.
        """
        self._database = database
        self._vectors = vectors
        self._pending: deque[LogRow] = deque()
        self._appenders = {table: database.writer.appender(table) for table in _TABLES}
        for table in _HEADS:
            self._appenders[table] = database.writer.appender(table, action="upsert")
        self.derived = derived
        self.unreadable = 0
        """Entries that could not be derived."""

    @property
    def pending(self) -> int:
        """Entries that wait to be derived."""
        return len(self._pending)

    def committed(self, rows: Iterable[LogRow]) -> None:
        """Take over what the log has got."""
        self._pending.extend(rows)

    def derive(self, count: int) -> list[LogRow]:
        """Derive the ``count`` oldest pending entries, in one transaction, and return them."""
        rows = list(islice(self._pending, count))
        try:
            self._write(rows, rows[-1].lsn)
        except Exception as error:  # noqa: BLE001 - payloads may be broken in any way
            self._reraise_if_fatal(error)
            for row in rows:
                self._write_alone(row)
        for _ in rows:
            self._pending.popleft()
        self.derived = rows[-1].lsn
        return rows

    def _write_alone(self, row: LogRow) -> None:
        """One unreadable entry must not keep later ones out of the tables. The log still has it, and
        its blocks were readable when they were committed."""
        try:
            self._write([row], row.lsn)
        except Exception as error:  # noqa: BLE001 - as above
            self._reraise_if_fatal(error)
            _log.error("Entry %d of %s cannot be derived: %s", row.seq, row.stream, error)
            self.unreadable += 1
            self._write([replace(row, kind="blocks")], row.lsn)

    def _reraise_if_fatal(self, error: Exception) -> None:
        for appender in self._appenders.values():
            appender.clear()
        if self._database.is_fatal(error):
            raise error

    def _write(self, rows: list[LogRow], upto: int) -> None:
        agents = [uuid_of(row.stream) for row in rows if row.kind in ("step", "edit")]
        known = self._database.rows(_SQL["find_agents"], {"ids": agents}) if agents else []
        batch = Batch([AgentRow(*row) for row in known])
        for row in rows:
            batch.add(row)
        if batch.new_texts:
            found = self._database.rows(_SQL["find_messages"], {"ids": list(batch.new_texts)})
            batch.replace_texts([MessageRow(*row) for row in found])
        with self._database.transaction() as connection:
            for statement, ids in batch.outdated().items():
                if ids:
                    connection.execute(_SQL[statement], {"ids": list(ids)})
            for table, fresh in batch.rows().items():
                if fresh:
                    self._appenders[table].append_rows(fresh)
                    self._appenders[table].flush()
            connection.execute(_SQL["set_derived"], {"lsn": upto})
        if batch.shrunk:
            self._vectors.forget(batch.shrunk)


class Batch:
    """What some log entries add up to."""

    def __init__(self, agents: list[AgentRow]) -> None:
        """
        Args:
            agents: rows of the agents that the entries change, as they are before.
        """
        self._agents = {agent.id: agent for agent in agents}
        self._deleted: set[UUID] = set()
        self._messages: dict[UUID, MessageRow] = {}
        self._replaced: set[UUID] = set()
        self._steps: dict[UUID, tuple[Any, ...]] = {}
        self._runs: dict[UUID, tuple[Any, ...]] = {}
        self._blocks: dict[UUID, tuple[Any, ...]] = {}
        self._block_heads: dict[UUID, tuple[UUID, int, int]] = {}
        self._block_versions: list[tuple[UUID, int, bytes]] = []
        self._documents: dict[UUID, tuple[Any, ...]] = {}
        self._document_heads: dict[UUID, tuple[UUID, int, int]] = {}
        self._passages: dict[UUID, tuple[Any, ...]] = {}
        self._deleted_passages: dict[UUID, int] = {}
        self.shrunk: set[UUID] = set()
        """Archives that lose passages, and agents that lose everything."""
        self._deleted_documents: set[UUID] = set()
        self.new_texts: dict[UUID, str] = {}
        """Texts of system messages that are in the table already."""

    def add(self, row: LogRow) -> None:
        match row.kind:
            case "create":
                self._create(row, State.unpack(row.payload))
            case "step" | "edit":
                self._change(row, Delta.unpack(row.payload))
            case "delete":
                self._delete(uuid_of(row.stream))
        for version in row.blocks:
            block_id = uuid_of(version.id)
            self._blocks[block_id] = _block_row(row.lsn, version)
            self._block_heads[block_id] = block_id, version.version, row.lsn
            self._block_versions.append(version_row(version))
        for document in row.documents:
            self._add_document(row.lsn, document)
        for passage in row.passages:
            self._add_passage(row.lsn, passage)

    def _create(self, row: LogRow, state: State) -> None:
        agent_id = uuid_of(row.stream)
        agent = state.agent.model_dump(include=_LISTED)
        moments = {name: _moment(agent[name]) for name in _MOMENTS}
        system = state.context[0].id if state.context else None
        self._agents[agent_id] = AgentRow(
            id=agent_id,
            **(agent | moments),
            system_id=system,
            history=state.history,
            grouped=state.agent.group is not None,
            embedding=_handle(state.agent.embedding_config),
            embedding_lsn=row.lsn,
        )
        for message in state.context:
            self._add_message(row, message)
        if state.run is not None:
            self._add_run(agent_id, state.run)

    def _change(self, row: LogRow, delta: Delta) -> None:
        agent_id = uuid_of(row.stream)
        agent = self._agents[agent_id]
        changes = {name: value for name, value in delta.agent.items() if name in _LISTED}
        for name in _MOMENTS & changes.keys():
            changes[name] = _moment(changes[name] and datetime.fromisoformat(changes[name]))
        if "group" in delta.agent:
            changes["grouped"] = delta.agent["group"] is not None
        if "embedding_config" in delta.agent:
            changes["embedding"] = _handle(delta.agent["embedding_config"])
            changes["embedding_lsn"] = row.lsn
        system, history = agent.system_id, agent.history
        for message in delta.messages:
            message.ordinal = history
            history += 1
            system = system or message.id
            self._add_message(row, message)
        if delta.context is not None:
            system = next(iter(delta.context), None)
        if delta.system is not None and system is not None:
            self._set_text(uuid_of(system), delta.system)
        for queued in delta.queued:
            self._add_run(agent_id, queued.run)
        if delta.run is not None:
            self._add_run(agent_id, delta.run)
            changes |= _outcome(delta.run)
        if delta.step is not None:
            self._add_step(agent_id, delta.step)
        self._agents[agent_id] = agent._replace(**changes, system_id=system, history=history)

    def _delete(self, agent_id: UUID) -> None:
        self._deleted.add(agent_id)
        self.shrunk.add(agent_id)
        self._agents.pop(agent_id, None)
        self._messages = {key: row for key, row in self._messages.items() if row.agent_id != agent_id}
        self._steps = {key: row for key, row in self._steps.items() if row[1] != agent_id}
        self._runs = {key: row for key, row in self._runs.items() if row[1] != agent_id}

    def _add_message(self, row: LogRow, message: Message) -> None:
        message_id = uuid_of(message.id)
        self._messages[message_id] = MessageRow(
            message_id,
            uuid_of(row.stream),
            message.ordinal,
            message.role,
            utc(message.created_at),
            uuid_of(message.run_id) if message.run_id else None,
            uuid_of(message.step_id) if message.step_id else None,
            words(message),
            message.model_dump_json(exclude_defaults=True),
            row.lsn,
        )

    def _set_text(self, message_id: UUID, text: str) -> None:
        if message_id in self._messages:
            self._messages[message_id] = _with_text(self._messages[message_id], text)
        else:
            self.new_texts[message_id] = text

    def replace_texts(self, rows: list[MessageRow]) -> None:
        """Put the new texts into these rows of the table."""
        for row in rows:
            if row.agent_id not in self._deleted:
                self._replaced.add(row.id)
                self._messages[row.id] = _with_text(row, self.new_texts[row.id])

    def _add_run(self, agent_id: UUID, run: Run) -> None:
        run_id = uuid_of(run.id)
        self._runs[run_id] = (
            run_id,
            agent_id,
            run.status,
            utc(run.created_at),
            run.stop_reason,
            run.background,
            run.conversation_id,
            run.model_dump_json(exclude_defaults=True),
        )

    def _add_step(self, agent_id: UUID, step: Step) -> None:
        step_id = uuid_of(step.id)
        self._steps[step_id] = (
            step_id,
            agent_id,
            uuid_of(step.run_id),
            utc(step.created_at),
            step.model,
            step.feedback,
            step.tags,
            step.model_dump_json(exclude_defaults=True),
        )

    def _add_document(self, lsn: int, version: DocumentVersion) -> None:
        document_id = uuid_of(version.id)
        self._documents[document_id] = _document_row(lsn, version)
        self._document_heads[document_id] = document_id, version.version, lsn
        if version.deleted:
            # Whatever is in it goes with it.
            self._deleted_documents.add(document_id)
            self.shrunk.add(document_id)
            self._passages = {key: row for key, row in self._passages.items() if row[2] != document_id}

    def _add_passage(self, lsn: int, passage: Passage) -> None:
        passage_id = uuid_of(passage.id)
        if passage.deleted:
            self._deleted_passages[passage_id] = lsn
            self.shrunk.add(uuid_of(passage.archive_id))
            self._passages.pop(passage_id, None)
        else:
            self._passages[passage_id] = passage_row(lsn, passage)

    def outdated(self) -> dict[str, set[UUID]]:
        """Rows to take out of the tables: the deleting statement, and the ids it is for."""
        return {
            "drop_agents": self._agents.keys() | self._deleted,
            "drop_messages_of": self._deleted,
            "drop_vectors_of": self._deleted,
            "drop_steps_of": self._deleted,
            "drop_runs_of": self._deleted,
            "drop_messages": self._replaced,
            "drop_steps": set(self._steps),
            "drop_runs": set(self._runs),
            "drop_blocks": set(self._blocks),
            "drop_documents": set(self._documents),
            "drop_passages": self._passages.keys() | self._deleted_passages.keys(),
            "drop_passages_of": self._deleted_documents,
        }

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Rows to put into the tables."""
        return {
            "agent": list(self._agents.values()),
            "message": list(self._messages.values()),
            "step": list(self._steps.values()),
            "run": list(self._runs.values()),
            "block": list(self._blocks.values()),
            "block_head": list(self._block_heads.values()),
            "block_version": self._block_versions,
            "document": list(self._documents.values()),
            "document_head": list(self._document_heads.values()),
            "passage": list(self._passages.values()),
            "deleted_passage": list(self._deleted_passages.items()),
        }


def words(message: Message) -> str:
    """Every word of a message in lower case, as it is searched."""
    parts = [message.text(), message.reasoning or ""]
    parts += [call.arguments for call in message.tool_calls]
    parts += [result.content for result in message.tool_returns]
    return "\n".join(part for part in parts if part).lower()


def _with_text(row: MessageRow, text: str) -> MessageRow:
    message = Message.model_validate_json(row.body)
    message.content = text
    return row._replace(text=words(message), body=message.model_dump_json(exclude_defaults=True))


def _block_row(lsn: int, version: BlockVersion) -> tuple[Any, ...]:
    block = version.block()
    return (
        lsn,
        uuid_of(block.id),
        block.deleted,
        block.label,
        block.name,
        block.is_template,
        block.hidden,
        block.project_id,
        block.description,
        block.tags,
        block.value,
        block.model_dump_json(exclude_defaults=True, exclude={"value"}),
    )


def _document_row(lsn: int, version: DocumentVersion) -> tuple[Any, ...]:
    document = version.document()
    name = getattr(document, "name", None)
    return lsn, uuid_of(version.id), version.kind, version.deleted, name, version.body.decode()


def _handle(embedding: dict[str, Any] | None) -> str | None:
    return embedding["handle"] if embedding else None


def _moment(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)


def _outcome(run: Run) -> dict[str, Any]:
    """What the end of a run changes about its agent's row, as :func:`storage.records.apply` does."""
    if not run.ended or run.completed_at is None:
        return {}
    ended = _moment(run.completed_at)
    return {"last_stop_reason": run.stop_reason, "last_run_completion": ended, "updated_at": ended}
