"""Forgetting a person who asked for it: the records of what they did, their contact; then our own copies, when it is recorded."""

from connector.crm.base import EventSchema
from connector.errors import ConnectorError, Denied
from connector.model import LinkState
from connector.sync.case import Case, still_ours
from connector.sync.contacts import WRITING
from connector.sync.observe import SHARING
from connector.sync.work import Work


def forget(work: Work, batch: list[Case]) -> None:
    """Remove these people from the CRM. A contact that another link needs stays."""
    for case in still_ours(work, batch, "contact.erase"):
        try:
            _remove_events(work, case)
            kind = _remove_contact(work, case)
        except ConnectorError as error:
            case.failed(WRITING, error)
            continue
        case.answered.add(WRITING)
        case.heard("contact.erase")
        case.end(LinkState.ERASED, f"erased at the person's request; {kind}", "erase")
        work.reached("contact.erase")


def _remove_events(work: Work, case: Case) -> None:
    link, events = case.link, case.mapping.events
    if not link.user_id or events.as_ == "none":
        return
    with work.store.read() as tx:
        ids = [one.record_id for one in tx.activities.of_user(link.provider, link.user_id) if one.record_id]
    try:
        work.crm.remove_events(EventSchema(events.as_, events.object), ids)
    except Denied as error:
        case.closed = str(error)


def _remove_contact(work: Work, case: Case) -> str:
    """Returns what was done, in words."""
    contact_id = case.link.contact_id
    if contact_id is None:
        return "there was no contact"
    if _shared(work, case):
        return "the contact stays, another user is linked to it"
    if case.mapping.lifecycle.user_erased == "archive_contact":
        work.crm.archive([contact_id])
        return "contact archived"
    work.crm.erase(contact_id)
    return "contact erased"


def _shared(work: Work, case: Case) -> bool:
    with work.store.read() as tx:
        links = tx.links.by_contacts([case.link.contact_id or ""]).get(case.link.contact_id or "", [])
    return any(one.id != case.link.id and one.user_id and one.state in SHARING and not one.erasure for one in links)
