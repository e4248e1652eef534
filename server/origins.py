"""Which web pages may use the API. Without this, any page that a user opens could drive their agents."""

import ipaddress
from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from server.errors import Forbidden
from server.settings import is_loopback

PRIVATE_ENDINGS = (".internal", ".local", ".localhost", ".lan", ".home.arpa")
METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
EXPOSED = "X-Request-Id, Retry-After"
PREFLIGHT_SECONDS = "600"


class Origins:
    """Decides about the ``Origin`` and the ``Host`` of requests.

    Args:
        listed: origins that may call the API besides those on this machine; ``*`` is any.
        password: whether one is required; then a page cannot do anything without knowing it.
    """

    def __init__(self, listed: Collection[str], *, password: bool) -> None:
        self._any = "*" in listed
        self._listed = frozenset(listed)
        self._hosts = frozenset(URL(origin).host for origin in listed)
        self._password = password

    def allows(self, origin: str) -> bool:
        """Whether a page from there may read answers."""
        return self._any or origin in self._listed or is_loopback(_host(origin))

    def check(self, request: web.Request) -> None:
        """Refuse a page from elsewhere, also one whose name was made to point at this machine.

        Raises:
            Forbidden: says which setting lets the page in.
        """
        if self._any or self._password:
            return
        origin = request.headers.get("Origin")
        if origin is not None and not self.allows(origin):
            raise Forbidden(
                f"Pages from {origin} may not use this server; name it in GREENROOM_CORS_ORIGINS."
            )
        host = _host(f"http://{request.host}")
        if _is_public_name(host) and host not in self._hosts:
            raise Forbidden(
                f"Without a password this server does not answer under the name {host}; "
                f"set GREENROOM_PASSWORD, or name its origin in GREENROOM_CORS_ORIGINS."
            )

    def allow(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that let an allowed page read the answer."""
        origin = request.headers.get("Origin")
        if origin is not None and self.allows(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            response.headers.add("Vary", "Origin")

    def middleware(self) -> Middleware:
        @web.middleware
        async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.check(request)
            wanted = request.headers.get("Access-Control-Request-Method")
            if request.method != "OPTIONS" or wanted is None:
                return await handler(request)
            headers = {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
                "Access-Control-Max-Age": PREFLIGHT_SECONDS,
            }
            return web.Response(status=204, headers=headers)

        return check_origin


def _host(origin: str) -> str:
    try:
        return URL(origin).host or ""
    except ValueError:
        return ""


def _is_public_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(PRIVATE_ENDINGS)
    return False
