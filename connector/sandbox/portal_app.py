"""The portal over HTTP: the token and its scopes, limits and faults around `portal_routes` and what is under /sandbox."""

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.gate import Gate
from connector.sandbox.portal_hands import hand_routes, refused_as
from connector.sandbox.portal_routes import lines
from connector.sandbox.replies import Refusal, missing_scope, unauthorised
from connector.sandbox.scopes import Scopes
from connector.sandbox.wire import Asked, Endpoint, Told, Work, endpoint, response

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal


def make_app(portal: "Portal") -> Starlette:
    """The app of a portal: HubSpot's API, and what is under /sandbox."""

    def refuse(error: Exception) -> Told | None:
        return refused_as(error, portal.faults.localised)

    def served(work: Work, scopes: Scopes) -> Endpoint:
        def allowed(asked: Asked) -> Told:
            if scopes and not portal.scopes & set(scopes):
                raise missing_scope(*scopes)
            with portal.lock:
                return work(asked)

        return endpoint(allowed, refuse)

    routes = [Route(path, served(work, scopes), methods=[method]) for method, path, work, scopes in lines(portal)]
    gate = Middleware(
        Gate,
        token=portal.token,
        faults=lambda: portal.faults,
        calls=portal.calls,
        unauthorised=lambda: _failed(unauthorised()),
        limits=portal.limits,
    )
    return Starlette(routes=[*routes, *hand_routes(portal)], middleware=[gate])


def _failed(refusal: Refusal) -> Response:
    told = refused_as(refusal, localised=False)
    assert told is not None
    return response(told)
