"""Forgetting a person who asked for it, or who goes for good with the user.

First the records of what they did, then their contact; our own copies go when it is recorded.
"""

from collections.abc import Iterable
from dataclasses import replace

from connector.crm.base import BATCH, EventSchema, Write
from connector.engine.readings import ADDITIONAL, MERGED, MERGED_WHEN, absorbed_ids, additional_emails
from connector.errors import ConnectorError, Denied, Paused, Transient
from connector.model import SHARING, Contact, Link, LinkState
from connector.store.activities import CRM, Activity
from connector.store.rows import contact_columns
from connector.sync.case import Case, in_turn
from connector.sync.contacts import WRITING
from connector.sync.linking import know_absorbed
from connector.sync.sender import event_record
from connector.sync.work import Work

ERASING = "contact.erase"
"""A kind of call that may be refused alone: that others' contacts can be written does not end it."""

LEFT = "the records of their events are still in the CRM, and go once that is possible"


def forget(work: Work, going: list[Case], batch: list[Case]) -> None:
    """Remove these people of a batch from the CRM. A contact that another link needs stays."""
    for case in in_turn(work, going, "contact.erase"):
        try:
            _remove_events(work, case)
            kind = _remove_contact(work, case, batch)
        except ConnectorError as error:
            case.failed(ERASING if isinstance(error, Paused) else WRITING, error, "contact.erase")
            continue
        case.answered |= {WRITING, ERASING}
        case.heard("contact.erase")
        why = "at the person's request" if case.link.erasure else "with the user"
        case.end(LinkState.ERASED, f"erased {why}; {kind}{case.left and f'; {LEFT}: {case.left}'}", "erase")
        work.reached("contact.erase")


def _remove_events(work: Work, case: Case) -> None:
    link, events = case.link, case.mapping.events
    if not link.user_id or events.as_ == "none":
        return
    schema = EventSchema(events.as_, events.object)
    with work.store.read() as tx:
        rows = [one for one in tx.activities.of_user(link.provider, link.user_id) if one.sink == CRM]
    try:
        ids = [one.record_id for one in rows if one.record_id] + _unheard(work, link, schema, rows)
        work.crm.remove_events(schema, ids)
    except Denied as error:
        case.left = str(error)


def _unheard(work: Work, link: Link, schema: EventSchema, rows: list[Activity]) -> list[str]:
    """The records of events whose sending was never answered: sent once more, which makes no second one, they tell their ids."""
    unsure = [replace(one, contact_id=link.contact_id or "") for one in rows if one.state == "sending" and one.key]
    if not unsure or link.contact_id is None:
        return []
    outcomes = [one for n in range(0, len(unsure), BATCH)
                for one in work.crm.record_events(schema, [event_record(row) for row in unsure[n : n + BATCH]])]  # fmt: skip
    for one in outcomes:
        if isinstance(one.error, Transient):
            raise one.error
    return [one.record_id for one in outcomes if one.record_id]


def _remove_contact(work: Work, case: Case, batch: list[Case]) -> str:
    """Returns what was done, in words."""
    contact_id = _contact_id(work, case.link)
    if contact_id is None:
        return "there was no contact"
    case.values["contact_id"] = contact_id
    found = work.crm.read([contact_id], ["email", ADDITIONAL, MERGED, MERGED_WHEN]).get(contact_id)
    if others := _others(work, case, contact_id, found):
        _take_id_off(work, case.link, contact_id)
        _see_without_id(work, case.link, others, batch)
        return "the contact stays, another user is linked to it"
    if found is not None and found.id != contact_id:  # what was told of the contacts that were merged goes, too
        with work.store.write() as tx:
            know_absorbed(tx, case.link, {found.id, *absorbed_ids(found)})
    if case.link.erasure and case.mapping.lifecycle.user_erased == "archive_contact":
        work.crm.archive([contact_id])
        return "contact archived"
    work.crm.erase(contact_id)
    return "contact erased"


def _take_id_off(work: Work, link: Link, contact_id: str) -> None:
    """A contact that stays does not go on carrying the id of somebody who was erased."""
    name = work.id_property(link.provider)
    found = work.crm.read([contact_id], [name]).get(contact_id)
    if found is not None and link.user_id and found.properties.get(name) == link.user_id:
        (outcome,) = work.crm.update([Write("", found.id, {name: ""})], ())
        if outcome.error is not None:
            raise outcome.error


def _see_without_id(work: Work, link: Link, others: Iterable[Link], batch: list[Case]) -> None:
    """Nor does what others last saw of it."""
    name = work.id_property(link.provider)

    def without(contact: Contact | None) -> Contact | None:
        if contact is None or contact.properties.get(name) != link.user_id:
            return None
        return replace(contact, properties={**contact.properties, name: ""})

    for case in batch:
        if case.link.id != link.id and (seen := without(case.seen.contact)):
            case.seen = replace(case.seen, contact=seen)
    with work.store.write() as tx:
        for other in others:
            known = tx.links.locked(other.id)
            if known and (seen := without(known.contact)):
                tx.links.notice(known.id, contact_columns(seen), tx.now)


def _contact_id(work: Work, link: Link) -> str | None:
    """The contact of a link; one whose creation was never answered carries the user's id."""
    if link.contact_id is not None or link.user_id is None:
        return link.contact_id
    found = work.crm.find(work.id_property(link.provider), [link.user_id], ())
    return next((one.id for one in found.get(link.user_id, [])), None)


def _others(work: Work, case: Case, contact_id: str, found: Contact | None) -> list[Link]:
    """Whose the contact is, too: by a link to it, or by the address of a contact it was merged with untold."""
    merged = found is not None and found.id != contact_id
    ids = {contact_id, *([found.id] if found else [])}
    emails = {(found.properties.get("email") or "").strip().lower(), *additional_emails(found)} if found and merged else set()
    with work.store.read() as tx:
        links = [one for known in tx.links.by_contacts(ids).values() for one in known]
        links += [one for email in sorted(emails - {""}) for one in tx.links.by_email(email)]
    found_by_id = {one.id: one for one in links if one.user_id and one.state in SHARING and not one.erasure}
    return [one for one in found_by_id.values() if one.id != case.link.id]
