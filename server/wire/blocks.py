"""Blocks on the wire."""

from typing import Any

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import (
    DEFAULT_USER,
    MAX_ITEMS,
    Body,
    Key,
    Keys,
    Object,
    OldestFirst,
    PageParams,
    Short,
    Text,
)
from storage.queries import BlockQuery
from storage.records import Block


class BlockResponse(TypedDict):
    id: str
    label: str
    value: str
    limit: int
    description: str | None
    read_only: bool
    metadata: dict[str, Any]
    tags: list[str]
    template_name: str | None
    is_template: bool
    hidden: bool | None
    preserve_on_migration: bool
    project_id: str | None
    template_id: str | None
    base_template_id: str | None
    deployment_id: str | None
    entity_id: str | None
    created_by_id: str | None
    last_updated_by_id: str | None


def block_response(block: Block) -> BlockResponse:
    return {
        "id": block.id,
        "label": block.label,
        "value": block.value,
        "limit": block.limit,
        "description": block.description,
        "read_only": block.read_only,
        "metadata": block.metadata,
        "tags": block.tags,
        "template_name": block.name,
        "is_template": block.is_template,
        "hidden": block.hidden,
        "preserve_on_migration": block.preserve_on_migration,
        "project_id": block.project_id,
        "template_id": block.template_id,
        "base_template_id": block.base_template_id,
        "deployment_id": block.deployment_id,
        "entity_id": block.entity_id,
        "created_by_id": DEFAULT_USER,
        "last_updated_by_id": DEFAULT_USER,
    }


class _BlockFields(Body):
    limit: int = Field(100_000, ge=1, le=10_000_000)
    description: Text | None = None
    read_only: bool = False
    metadata: Object = Field({})
    tags: Keys = Field([])
    template_name: Short | None = None
    is_template: bool = False
    hidden: bool | None = None
    preserve_on_migration: bool = False
    project_id: Short | None = None
    template_id: Short | None = None
    base_template_id: Short | None = None
    deployment_id: Short | None = None
    entity_id: Short | None = None

    def fields(self) -> Object:
        """The given fields under the names that :class:`storage.records.Block` has for them."""
        fields = self.given()
        if "template_name" in fields:
            fields["name"] = fields.pop("template_name")
        return fields


class CreateBlock(_BlockFields):
    label: Key
    value: Text


class UpdateBlock(_BlockFields):
    label: Key | None = None
    value: Text | None = None


class ListBlocks(OldestFirst):
    cursors = "block"
    label: Short | None = None
    templates_only: bool = False
    name: Short | None = None
    identity_id: Short | None = None
    identifier_keys: Keys = Field([])
    project_id: Short | None = None
    label_search: Short | None = None
    description_search: Short | None = None
    value_search: Short | None = None
    connected_to_agents_count_gt: int | None = None
    connected_to_agents_count_lt: int | None = None
    connected_to_agents_count_eq: list[int] = Field([], max_length=MAX_ITEMS)
    tags: Keys = Field([])
    match_all_tags: bool = False
    show_hidden_blocks: bool = False

    def storage_query(self) -> BlockQuery:
        return BlockQuery(
            **self.page(),
            label=self.label,
            name=self.name,
            templates_only=self.templates_only,
            label_search=self.label_search,
            description_search=self.description_search,
            value_search=self.value_search,
            project_id=self.project_id,
            tags=self.tags,
            match_all_tags=self.match_all_tags,
            agents_eq=self.connected_to_agents_count_eq,
            agents_gt=self.connected_to_agents_count_gt,
            agents_lt=self.connected_to_agents_count_lt,
            hidden=self.show_hidden_blocks,
        )


class ListAgentBlocks(PageParams):
    cursors = "block"
    limit: int = Field(100, ge=1, le=1000)

    def pick(self, blocks: list[Block]) -> list[Block]:
        """The page of an agent's blocks, sorted by age."""
        rows = sorted(blocks, key=lambda block: block.id, reverse=self.descending)
        low, high = (self.before, self.after) if self.descending else (self.after, self.before)
        rows = [row for row in rows if (low or "") < row.id and (high is None or row.id < high)]
        return rows[-self.limit :] if self.before and not self.after else rows[: self.limit]
