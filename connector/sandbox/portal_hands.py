"""What the portal serves under /sandbox: a person's hands, for people with curl."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.routing import Route

from connector.sandbox.hands import common_routes
from connector.sandbox.object_hands import object_lines
from connector.sandbox.page import portal_page
from connector.sandbox.preference_hands import preference_lines
from connector.sandbox.replies import Refusal, bad_request, not_found
from connector.sandbox.wire import Asked, BadRequest, Told, Work, endpoint

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

Line = tuple[str, str, Work]
"""Method, path below /sandbox, call."""


def hand_routes(portal: "Portal") -> list[Route]:
    """All of it, and the page."""
    lines = [*_contact_lines(portal), *_setting_lines(portal), *preference_lines(portal), *object_lines(portal)]
    own = [Route("/sandbox" + path, endpoint(work, _hand_refused), methods=[method]) for method, path, work in lines]
    common = common_routes(portal, lambda: portal.faults, _hand_refused)
    return [*own, *common, Route("/", portal_page(portal), methods=["GET"])]


def _contact_lines(portal: "Portal") -> list[Line]:
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

    return [
        ("GET", "/contacts", lambda asked: Told(portal.contacts(asked.flag("archived")))),
        ("POST", "/contacts", create),
        ("GET", "/contacts/{id}", lambda asked: Told(contact(asked))),
        ("PATCH", "/contacts/{id}", edit),
        ("DELETE", "/contacts/{id}", lambda asked: _done(portal.delete, asked)),
        ("POST", "/contacts/{id}/restore", lambda asked: _done(portal.restore, asked)),
        ("POST", "/contacts/{id}/merge", merge),
        ("POST", "/contacts/{id}/gdpr-delete", lambda asked: _done(portal.gdpr_delete, asked)),
    ]


def _setting_lines(portal: "Portal") -> list[Line]:
    def add_property(asked: Asked) -> Told:
        return Told(_added(portal, asked.body), 201)

    def switch(asked: Asked) -> Told:
        try:
            portal.switch(**asked.body)
        except (ValueError, TypeError) as error:
            raise BadRequest(str(error)) from error
        return Told(portal.switched())

    return [
        ("POST", "/properties", add_property),
        ("GET", "/switches", lambda asked: Told(portal.switched())),
        ("PUT", "/switches", switch),
    ]


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


def refused_as(error: Exception, localised: bool) -> Told | None:
    """The answer for what a call raised; None for what is a fault of ours."""
    if isinstance(error, BadRequest):
        error = bad_request(str(error))
    if not isinstance(error, Refusal):
        return None
    correlation = str(uuid4())
    body = {**error.told(localised), "correlationId": correlation}
    return Told(body, error.status, {"X-HubSpot-Correlation-Id": correlation})


def _hand_refused(error: Exception) -> Told | None:
    return refused_as(error, localised=False)
