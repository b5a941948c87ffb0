"""The right of access: everything we hold about a person, as one JSON document. What either side holds is theirs to tell."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from connector import strictjson
from connector.errors import BadDelivery
from connector.model import Link
from connector.store import Tx
from connector.store.inbox import Kept
from connector.store.ledger import LedgerRow
from connector.sync.search import deliveries
from connector.sync.work import Work


def export(work: Work, tx: Tx, links: Sequence[Link]) -> dict[str, Any]:
    """{"made_at", "links": [{"link", "mapping", "former_contact_ids", "history", "consents", "activities", "parked",
    "deliveries"}]}: plain JSON values, times in ISO 8601, UTC."""
    return {"made_at": tx.now.isoformat(), "links": [_person(work, tx, link) for link in links]}


def _person(work: Work, tx: Tx, link: Link) -> dict[str, Any]:
    mapping = work.mappings.get(link.provider)
    parts: dict[str, Any] = {
        "link": {"name": link.name, **asdict(link)},
        "mapping": mapping and mapping.sha256,
        "former_contact_ids": tx.aliases.of_link(link.id),
        "history": [asdict(entry) for entry in tx.history.of_link(link.id, None)],
        "consents": [asdict(row) for row in statements(tx, link)],
        "activities": [asdict(one) for one in tx.activities.of_user(link.provider, link.user_id or "")],
        "parked": [asdict(row) for row in tx.parked.of_links([link.id]).get(link.id, [])],
        "deliveries": [_delivery(row) for row in deliveries(tx, link)],
    }
    told: dict[str, Any] = _plain(parts)
    return told


def statements(tx: Tx, link: Link) -> list[LedgerRow]:
    """What the ledger tells of a link's person, earlier links of the same user included, oldest first."""
    rows = tx.ledger.of_link(link.id) + (tx.ledger.of_subject(link.provider, link.user_id) if link.user_id else [])
    return [row for _, row in sorted({row.id: row for row in rows}.items())]


def _delivery(row: Kept) -> dict[str, Any]:
    """A delivery with its body as JSON where it is that, else as text."""
    try:
        body: Any = strictjson.parse(row.body)
    except BadDelivery:
        body = row.body.decode("utf-8", "replace")
    return {**asdict(row), "body": body}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value
