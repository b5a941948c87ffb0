"""The portal over HTTP: which path is which call, and which scope it needs. Dated API versions are served as well as v3."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.gate import Gate
from connector.sandbox.hands import common_routes
from connector.sandbox.page import portal_page
from connector.sandbox.replies import Refusal, bad_request, missing_scope, not_found, unauthorised
from connector.sandbox.wire import Asked, BadRequest, Endpoint, Told, Work, endpoint, response

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

READ, WRITE = "crm.objects.contacts.read", "crm.objects.contacts.write"
SCHEMA_READ, SCHEMA_WRITE = "crm.schemas.contacts.read", "crm.schemas.contacts.write"
CONTACTS = ("/crm/v3/objects/contacts", "/crm/objects/{version}/contacts", "/crm/v3/objects/0-1", "/crm/objects/{version}/0-1")
PROPERTIES = ("/crm/v3/properties/contacts", "/crm/properties/{version}/contacts")

Line = tuple[str, str, Work, str]
"""Method, end of the path, call, scope."""


def make_app(portal: "Portal") -> Starlette:
    """The app of a portal: HubSpot's API, and what is under /sandbox."""

    def refuse(error: Exception) -> Told | None:
        return _refused(error, portal.faults.localised)

    def served(work: Work, scope: str) -> Endpoint:
        def allowed(asked: Asked) -> Told:
            if scope not in portal.scopes:
                raise missing_scope(scope)
            return work(asked)

        return endpoint(allowed, refuse)

    lines = [
        *_under(CONTACTS, _contact_lines(portal)),
        *_under(PROPERTIES, _property_lines(portal)),
        *_under(("/account-info/v3", "/account-info/{version}"), _account_lines(portal)),
        ("POST", "/oauth/v2/private-apps/get/access-token-info", portal.account_api.token, "oauth"),
    ]
    routes = [Route(path, served(work, scope), methods=[method]) for method, path, work, scope in lines]
    gate = Middleware(
        Gate,
        token=portal.token,
        faults=lambda: portal.faults,
        calls=portal.calls,
        unauthorised=lambda: _failed(unauthorised()),
        limits=portal.limits,
    )
    return Starlette(routes=[*routes, *_hand_routes(portal)], middleware=[gate])


def _under(prefixes: tuple[str, ...], lines: list[Line]) -> list[Line]:
    return [(method, prefix + end, work, scope) for prefix in prefixes for method, end, work, scope in lines]


def _contact_lines(portal: "Portal") -> list[Line]:
    one, many = portal.contacts_api, portal.batches_api
    return [
        ("POST", "/batch/read", many.read, READ),
        ("POST", "/batch/create", many.create, WRITE),
        ("POST", "/batch/update", many.update, WRITE),
        ("POST", "/batch/upsert", many.upsert, WRITE),
        ("POST", "/batch/archive", many.archive, WRITE),
        ("POST", "/search", one.search, READ),
        ("POST", "/merge", one.merge, WRITE),
        ("POST", "/gdpr-delete", one.erase, WRITE),
        ("GET", "", one.page, READ),
        ("POST", "", one.create, WRITE),
        ("GET", "/{id}", one.read, READ),
        ("PATCH", "/{id}", one.update, WRITE),
        ("DELETE", "/{id}", one.archive, WRITE),
    ]


def _property_lines(portal: "Portal") -> list[Line]:
    api = portal.definitions_api
    return [
        ("POST", "/batch/create", api.batch_create, SCHEMA_WRITE),
        ("POST", "/batch/read", api.batch_read, SCHEMA_READ),
        ("POST", "/batch/archive", api.batch_archive, SCHEMA_WRITE),
        ("GET", "/groups", api.groups, SCHEMA_READ),
        ("POST", "/groups", api.create_group, SCHEMA_WRITE),
        ("GET", "/groups/{name}", api.read_group, SCHEMA_READ),
        ("GET", "", api.listed, SCHEMA_READ),
        ("POST", "", api.create, SCHEMA_WRITE),
        ("GET", "/{name}", api.read, SCHEMA_READ),
        ("PATCH", "/{name}", api.update, SCHEMA_WRITE),
        ("DELETE", "/{name}", api.archive, SCHEMA_WRITE),
    ]


def _account_lines(portal: "Portal") -> list[Line]:
    return [
        ("GET", "/details", portal.account_api.details, "oauth"),
        ("GET", "/api-usage/daily/private-apps", portal.account_api.usage, "oauth"),
    ]


def _hand_routes(portal: "Portal") -> list[Route]:
    def contact(asked: Asked) -> dict[str, Any]:
        found = portal.contact(asked.params["id"])
        if found is None:
            raise not_found([asked.params["id"]])
        return found

    def create(asked: Asked) -> Told:
        return Told(portal.contact(portal.create(asked.body)), 201)

    def edit(asked: Asked) -> Told:
        found = contact(asked)["id"]
        portal.edit(found, asked.body)
        return Told(portal.contact(found))

    def merge(asked: Asked) -> Told:
        return Told(portal.contact(portal.merge(asked.params["id"], str(asked.body.get("other", "")))))

    def add_property(asked: Asked) -> Told:
        return Told(_added(portal, asked.body), 201)

    lines: list[tuple[str, str, Work]] = [
        ("GET", "/contacts", lambda asked: Told(portal.contacts(asked.flag("archived")))),
        ("POST", "/contacts", create),
        ("GET", "/contacts/{id}", lambda asked: Told(contact(asked))),
        ("PATCH", "/contacts/{id}", edit),
        ("DELETE", "/contacts/{id}", lambda asked: _done(portal.delete, asked)),
        ("POST", "/contacts/{id}/restore", lambda asked: _done(portal.restore, asked)),
        ("POST", "/contacts/{id}/merge", merge),
        ("POST", "/contacts/{id}/gdpr-delete", lambda asked: _done(portal.gdpr_delete, asked)),
        ("POST", "/properties", add_property),
    ]
    own = [Route("/sandbox" + path, endpoint(work, _hand_refused), methods=[method]) for method, path, work in lines]
    common = common_routes(portal, lambda: portal.faults, _hand_refused)
    return [*own, *common, Route("/", portal_page(portal), methods=["GET"])]


def _added(portal: "Portal", body: Mapping[str, Any]) -> dict[str, Any]:
    known = ("name", "type", "field_type", "options", "unique", "read_only", "label")
    fits = isinstance(body.get("name"), str) and isinstance(body.get("options", []), list | dict)
    if not fits or body.keys() - set(known):
        raise bad_request(f"a property has {', '.join(known)}; the name is needed")
    portal.add_property(**body)
    return portal.schema[body["name"]].told()


def _done(act: Callable[[str], None], asked: Asked) -> Told:
    act(asked.params["id"])
    return Told(status=204)


def _refused(error: Exception, localised: bool) -> Told | None:
    if isinstance(error, BadRequest):
        error = bad_request(str(error))
    if not isinstance(error, Refusal):
        return None
    correlation = str(uuid4())
    body = {**error.told(localised), "correlationId": correlation}
    return Told(body, error.status, {"X-HubSpot-Correlation-Id": correlation})


def _hand_refused(error: Exception) -> Told | None:
    return _refused(error, localised=False)


def _failed(refusal: Refusal) -> Response:
    told = _refused(refusal, localised=False)
    assert told is not None
    return response(told)
