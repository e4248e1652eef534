"""Whether the server lives and takes requests."""

from typing_extensions import TypedDict

from server.routing import Routes
from server.version import VERSION

routes = Routes("health")


class Health(TypedDict):
    version: str
    status: str


@routes.get("/v1/health/", public=True)
async def health() -> Health:
    """Tell that the server lives."""
    return {"version": VERSION, "status": "ok"}


@routes.get("/v1/ready/", public=True)
async def ready() -> Health:
    """Tell that the server takes requests. It listens only after its fleet has started."""
    return {"version": VERSION, "status": "ok"}
