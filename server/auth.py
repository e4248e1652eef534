"""The password, as the API's clients send it."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from server.errors import Unauthorized
from server.routing import ROUTES


def require(password: SecretStr) -> Middleware:
    """Refuse requests without the password, except to public routes.

    It is taken from ``Authorization: Bearer <password>`` or ``X-BARE-PASSWORD: password <password>``.
    """
    accepted = {
        "Authorization": f"Bearer {password.get_secret_value()}".encode(),
        "X-BARE-PASSWORD": f"password {password.get_secret_value()}".encode(),
    }

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.app[ROUTES].get(request.match_info.handler)
        if route is None or not route.public:
            matches = [
                hmac.compare_digest(request.headers.get(name, "").encode(errors="surrogateescape"), value)
                for name, value in accepted.items()
            ]
            if not any(matches):
                raise Unauthorized
        return await handler(request)

    return authorize
