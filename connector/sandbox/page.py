"""The page at /: what this is, what is in it, and what to try. HTML for browsers, JSON for everybody else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from connector.sandbox.subscriptions import NOT_SPECIFIED
from connector.sandbox.wire import Endpoint

if TYPE_CHECKING:
    from connector.sandbox.portal import Portal

SHOWN = 200
"""Rows on the page."""
SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "X-Content-Type-Options": "nosniff"}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0}"
)


def portal_page(portal: "Portal") -> Endpoint:
    """The page of a portal."""
    tries = [
        """curl -X POST {url}/sandbox/contacts -d '{"email": "ada@example.com", "firstname": "Ada"}'""",
        """curl -X PATCH {url}/sandbox/contacts/ada@example.com -d '{"firstname": "Augusta"}'""",
        """curl -X PUT {url}/sandbox/webhook -d '{"url": "http://127.0.0.1:8000/webhooks/hubspot"}'""",
        """curl -X POST {url}/sandbox/subscriptions/ada@example.com/unsubscribe -d '{"subscription": "Newsletter"}'""",
        """curl -X PUT {url}/sandbox/faults -d '{"webhook_duplicate": 0.5, "search_lag": 10}'""",
    ]
    columns = ("id", "email", "firstname", "lastname", "lastmodifieddate", "subscriptions", "events")
    intro = f"A HubSpot portal in memory (account {portal.portal_id}). It answers HubSpot's API; nothing leaves this machine."

    async def page(request: Request) -> Response:
        with portal.lock:
            found = portal.contacts()
            rows = [_row(portal, one) for one in found[:SHOWN]]
        return render(request, "Sandbox portal", intro, "contacts", columns, rows, tries, len(found))

    return page


def _row(portal: "Portal", contact: Mapping[str, Any]) -> dict[str, str]:
    """A contact, what its address said to email, and what happened to it."""
    email = contact["properties"].get("email", "")
    chosen = [one for one in portal.preferences(email)["subscriptions"] if one["status"] != NOT_SPECIFIED] if email else []
    happened = Counter(one["eventName"].partition("_")[2] for one in portal.happened(contact["id"]))
    said = ", ".join(f"{one['name']} {one['status'].lower()}" for one in chosen)
    return {
        **contact["properties"], "id": contact["id"], "subscriptions": said,
        "events": ", ".join(f"{name} {count}" for name, count in happened.items()),
    }  # fmt: skip


def render(
    request: Request,
    title: str,
    intro: str,
    what: str,
    columns: Sequence[str],
    rows: Sequence[dict[str, str]],
    tries: Sequence[str],
    count: int | None = None,
) -> Response:
    """The page as HTML, or what it says as JSON. count: of all rows, when those given are not all."""
    count = len(rows) if count is None else count
    url = str(request.base_url).rstrip("/")
    commands = [one.replace("{url}", url) for one in tries]
    if "text/html" not in request.headers.get("accept", ""):
        shown = [{name: row.get(name) for name in columns} for row in rows[:SHOWN]]
        told = {"about": intro, "try": commands, "count": count, what: shown}
        return Response(orjson.dumps(told, option=orjson.OPT_INDENT_2), media_type="application/json", headers=SAFE)
    heads = "".join(f"<th>{escape(name)}" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row.get(name) or ''))}" for name in columns) + "\n" for row in rows[:SHOWN]
    )
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(intro)}<pre>{escape(chr(10).join(commands))}</pre>"
        f"<h2>{count} {escape(what)}</h2><table><tr>{heads}\n{lines}</table>"
    )
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
    return HTMLResponse(head + body, headers=SAFE)
