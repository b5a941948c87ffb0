"""The two webhook routes as OpenAPI, for generated requests. Not served: nobody needs to read a webhook receiver's interface."""

from connector.crm.hubspot.webhooks import KINDS
from connector.model import USER_KINDS

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
    },
}
NUMBER = {"type": "integer", "minimum": 0}
ANSWER = {
    "type": "object",
    "required": ["accepted", "duplicates", "quarantined"],
    "additionalProperties": False,
    "properties": {"accepted": NUMBER, "duplicates": NUMBER, "quarantined": NUMBER},
}
USER = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": ["string", "integer"]},
        "email": {"type": ["string", "null"]},
        "updated_at": {"type": "string", "format": "date-time"},
        "custom": {"type": "object"},
        "consents": {"type": "array", "items": {"type": "object"}},
    },
}
ENVELOPE = {
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "id": {"type": "string"},
        "type": {"enum": list(USER_KINDS)},
        "occurred_at": {"type": "string", "format": "date-time"},
        "data": {"type": "object", "required": ["user"], "properties": {"user": USER}},
    },
}
EVENT = {
    "type": "object",
    "required": ["portalId", "subscriptionType", "objectId"],
    "properties": {
        "portalId": {"type": "integer"},
        "subscriptionType": {"enum": [f"contact.{name}" for name in KINDS]},
        "objectId": {"type": "integer"},
        "eventId": {"type": "integer"},
        "occurredAt": {"type": "integer"},
        "propertyName": {"type": "string"},
        "propertyValue": {"type": "string"},
        "mergedObjectIds": {"type": "array", "items": {"type": "integer"}},
    },
}


def _post(body):
    answers = {"200": {"description": "kept", "content": {"application/json": {"schema": ANSWER}}}}
    for status in ("400", "401", "405", "408", "413", "415", "429", "503"):
        answers[status] = {"description": "refused", "content": {"application/problem+json": {"schema": PROBLEM}}}
    return {"post": {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}, "responses": answers}}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "webhooks", "version": "1"},
    "paths": {
        "/webhooks/identity/members": _post({"oneOf": [ENVELOPE, {"type": "array", "items": ENVELOPE}]}),
        "/webhooks/hubspot": _post({"type": "array", "items": EVENT}),
    },
}
