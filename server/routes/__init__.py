"""The API's operations, one module a resource."""

from server.routes import description, health
from server.routing import Routes

ALL: tuple[Routes, ...] = (health.routes, description.routes)
"""Every resource, in the order of the API's description."""
