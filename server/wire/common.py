"""What all resources share: the bases of requests, ids, bounds of texts and lists, paging, times."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from storage.errors import NotFound
from storage.ids import is_id

MAX_ITEMS = 1_000
"""Entries in any one list of a request."""
DEFAULT_USER = "user-00000000-0000-4000-8000-000000000000"
DEFAULT_ORGANIZATION = "org-00000000-0000-4000-8000-000000000000"

_UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def id_pattern(prefix: str) -> StringConstraints:
    """What an id with this prefix looks like."""
    return StringConstraints(pattern=f"^{prefix}-{_UUID4}$")


def _without_nul(text: str) -> str:
    return text.replace("\0", "")


AgentId = Annotated[str, id_pattern("agent")]
BlockId = Annotated[str, id_pattern("block")]
MessageId = Annotated[str, id_pattern("message")]
PassageId = Annotated[str, id_pattern("passage")]
RunId = Annotated[str, id_pattern("run")]
StepId = Annotated[str, id_pattern("step")]
ToolId = Annotated[str, id_pattern("tool")]

Object = dict[str, Any]
Text = Annotated[str, StringConstraints(max_length=1_000_000), AfterValidator(_without_nul)]
"""Words for people and models. NUL characters, which stores and terminals choke on, are dropped."""
Short = Annotated[str, StringConstraints(max_length=500)]
"""A name, a label, a key, a handle."""
Key = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Keys = Annotated[list[Key], Field(max_length=MAX_ITEMS)]


class Query(BaseModel):
    """A query string. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class Body(BaseModel):
    """A body, or an object in one. Unknown keys are ignored, an explicit null counts as not given."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())
    nullable: ClassVar[frozenset[str]] = frozenset()
    """Fields where null says something else than leaving the field out."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key in cls.nullable}

    def given(self) -> Object:
        """The fields that the request has, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class PageParams(Query):
    """Where a listing starts and how far it goes."""

    cursors: ClassVar[str]
    """What the ids are of that ``before`` and ``after`` take."""
    before: Short | None = None
    after: Short | None = None
    limit: int = Field(50, ge=1, le=1000)
    order: Literal["asc", "desc"] = "desc"
    ascending: bool | None = Field(None, description="Older form of `order`.")

    @property
    def descending(self) -> bool:
        if self.ascending is not None and "order" not in self.model_fields_set:
            return not self.ascending
        return self.order == "desc"

    def page(self) -> Object:
        """The same as arguments of a storage query. Raises NotFound for a cursor that is no id."""
        for cursor in (self.before, self.after):
            if cursor is not None and not is_id(cursor, self.cursors):
                raise NotFound(f"No {self.cursors.title()} found with id '{cursor}'")
        return {
            "limit": self.limit,
            "descending": self.descending,
            "after": self.after,
            "before": self.before,
        }


class OldestFirst(PageParams):
    order: Literal["asc", "desc"] = "asc"


class Deleted(TypedDict):
    """What deleting answers where it does not answer null."""

    message: str


def seconds(moment: datetime) -> str:
    """ISO 8601 to the second with the offset, the API's form of a message's date."""
    return moment.isoformat(timespec="seconds")
