"""The API's operations, one module a resource."""

from server.routes import health
from server.routing import Routes

ALL: tuple[Routes, ...] = (health.routes,)
"""Every resource, in the order of the API's description."""
