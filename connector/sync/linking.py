"""Which contact an unlinked user belongs to, and the other way round. One candidate links, several wait for a person."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from connector.engine.normalise import Unreadable, to_contact
from connector.engine.plan import Step
from connector.engine.readings import MERGED, MERGED_WHEN, absorbed_ids, additional_emails, user_reading
from connector.engine.typologies import agreed_after_merge
from connector.errors import ConnectorError, Exists, Fenced, Transient, Unavailable
from connector.mapping.model import TYPOLOGIES, Field
from connector.model import SHARING, Contact, Link, LinkState
from connector.store import Tx
from connector.sync.case import Case
from connector.sync.contact_events import MERGED_HELD
from connector.sync.observe import properties
from connector.sync.work import Work


def match_first(work: Work, batch: list[Case], by_id: bool = False, by_email: bool = False) -> list[Case]:
    """Users that have a contact already, found by the mapping's `match` list, become links; the others are returned.

    by_id: look for the user's id on a contact first; a creation whose answer never came is found that way.
    by_email: also look by email. The optimistic way leaves email to the CRM, which refuses a second contact with it.
    """
    rest = []
    for provider in dict.fromkeys(case.link.provider for case in batch):
        mine = [case for case in batch if case.link.provider == provider]
        candidates: dict[int, dict[str, Contact]] = {case.link.id: {} for case in mine}
        keys = [work.id_property(provider)] if by_id else []
        keys += [name for name in work.mappings[provider].match if by_email or name != "email"]
        for key in keys:
            looking = [case for case in mine if case.open and not candidates[case.link.id]]
            _search(work, looking, key, candidates)
        for case in mine:
            if case.open and candidates[case.link.id]:
                link_to(work, case, list(candidates[case.link.id].values()))
            elif case.open:
                rest.append(case)
    return rest


def _search(work: Work, batch: list[Case], key: str, candidates: dict[int, dict[str, Contact]]) -> None:
    """Look contacts up by one key; whoever is found is put into `candidates`."""
    values: dict[str, list[Case]] = {}
    name = key
    for case in batch:
        rule = case.mapping.field_by_user(key)
        name = rule.contact if rule else key
        value = _sought(rule, case)
        if value:
            values.setdefault(value, []).append(case)
    if not values:
        return
    try:
        found = work.crm.find(name, list(values), properties(work, batch))
    except Transient as error:
        for case in batch:
            case.failed("contact.find", error)
        return
    for case in batch:
        case.answered.add("contact.find")
    for value, contacts in found.items():
        for case in values.get(value, []):
            candidates[case.link.id] |= {contact.id: contact for contact in contacts}


def _sought(rule: Field | None, case: Case) -> str | None:
    """What to look for: the user's id, or the value of a match field; nothing when that cannot be read."""
    if rule is None:
        return case.link.user_id
    try:
        return to_contact(user_reading(rule, case.seen.user).value)
    except Unreadable:
        return None


def resolve_taken(work: Work, batch: list[Case]) -> None:
    """Users whose email the CRM says is taken: read the contact it named, or look by email where it named none."""
    named = {case.link.id: case.error.record_id for case in batch if isinstance(case.error, Exists) and case.error.record_id}
    for case in batch:
        case.error = None
    allowed = [case for case in batch if "email" in case.mapping.match]
    for case in batch:
        if case not in allowed:
            case.end(LinkState.HELD, "a contact with this email exists, and `match` does not name email", "hold")
    try:
        found = work.crm.read(list(dict.fromkeys(named.values())), properties(work, allowed)) if named and allowed else {}
    except Transient as error:
        for case in allowed:
            case.failed("contact.read", error)
        return
    unnamed = []
    for case in allowed:
        contact = found.get(named.get(case.link.id, ""))
        if contact is not None and _holds_email(case, contact):
            link_to(work, case, [contact])
        else:
            unnamed.append(case)
    for case in match_first(work, unnamed, by_id=True, by_email=True):  # gone again, or not in the search index yet
        case.failed("contact.find", Unavailable("the CRM calls the email taken and does not show by whom"))


def _holds_email(case: Case, contact: Contact) -> bool:
    """Whether the contact the CRM named really has the address: the id came out of a message's text."""
    rule = case.mapping.field_by_user("email")
    email = _sought(rule, case) if rule else None
    return bool(email) and email in {(contact.properties.get("email") or "").strip().lower(), *additional_emails(contact)}


def link_to(work: Work, case: Case, candidates: list[Contact]) -> None:
    """Link to the one candidate that is free; otherwise hold the link, saying why."""
    if len(candidates) > 1:
        ids = ", ".join(sorted(one.id for one in candidates))
        case.end(LinkState.HELD, f"{len(candidates)} contacts match ({ids}); relink to one of them", "hold")
        return
    contact = candidates[0]
    if _rival(work, case, contact):
        return
    if _cut(work, case, contact):
        case.end(LinkState.HELD, f"contact {contact.id} was unlinked before; relink if it shall follow this user", "hold")
    elif claim(work, case, contact, "contact.link"):
        case.decide()
    else:
        reason = f"contact {contact.id} is linked to another user of {case.link.provider}; unlink that one or merge the users"
        case.end(LinkState.HELD, reason, "hold")


def claim(work: Work, case: Case, contact: Contact, kind: str, absorbed: Iterable[str] = ()) -> bool:
    """Tie the link to a contact before anything is written there: of two links, and of two workers, one gets it.

    absorbed: other ids the contact had before merges.
    """
    former = case.link.contact_id
    with work.store.write() as tx:
        if not tx.links.claim(case.link, contact.id):
            return False
        tx.history.add([case.entry(kind, answer=f"contact {contact.id}")])
        if former is not None:
            tx.aliases.add(case.link.id, case.link.provider, former)
        know_absorbed(tx, case.link, absorbed)
    case.link = replace(case.link, contact_id=contact.id, state=LinkState.ACTIVE)
    case.seen = replace(case.seen, contact=contact)
    return True


def _rival(work: Work, case: Case, contact: Contact) -> bool:
    """Whether the contact carries the id of another user who is not known to be gone: then the link is held.

    That user may just be on the way out, so it is looked at first, and this link again after it.
    """
    other = contact.properties.get(work.id_property(case.link.provider))
    if not other or other == case.link.user_id:
        return False
    with work.store.write() as tx:
        link = tx.links.by_users(case.link.provider, [other]).get(other)
        if link is not None and link.state in (LinkState.DELETED, LinkState.ERASED):
            return False
        first = link is not None and link.state == LinkState.ACTIVE and case.link.failed_since is None
        if link is not None and first:
            tx.links.notice(link.id, {"refetch": case.provider.capabilities.read}, tx.now)
    if first or (link is not None and link.user_gone):
        case.failed("contact.find", Unavailable(f"contact {contact.id} belongs to user {other}, who is looked at first"))
    else:
        reason = f"contact {contact.id} is linked to another user of {case.link.provider}; unlink that one or merge the users"
        case.end(LinkState.HELD, reason, "hold")
    return True


def moved(work: Work, batch: list[Case]) -> None:
    """Contacts that turn out to be merged: their links follow, unless another user's link leads to the same one."""
    users = [case for case in batch if case.seen.contact and case.link.user_id and not case.seen.user_gone]
    users = [case for case in users if case.link.state is not LinkState.HELD]
    meeting = Counter((case.link.provider, case.seen.contact.id) for case in users if case.seen.contact)
    merged = [case for case in users if case.seen.contact and case.seen.contact.id != case.link.contact_id]
    absorbed = _absorbed(work, merged)
    for case in merged:
        contact = case.seen.contact
        if contact is None or not case.open:
            continue
        alone = meeting[case.link.provider, contact.id] == 1 and not _another(work, case, contact)
        if not alone or not claim(work, case, contact, "contact.merged", absorbed.get(contact.id, ())):
            case.end(LinkState.HELD, MERGED_HELD, "hold")


def met_anew(batch: list[Case]) -> None:
    """After a merge, the typologies that were lost with it are added again."""
    for case in batch:
        if TYPOLOGIES in case.link.base:
            agreed = agreed_after_merge(case.link, case.seen.contact, case.mapping)
            case.link = replace(case.link, base={**case.link.base, TYPOLOGIES: agreed})


def _absorbed(work: Work, merged: list[Case]) -> dict[str, set[str]]:
    """What contacts these ones were merged from, as their merge's webhook would have told."""
    ids = list(dict.fromkeys(case.seen.contact.id for case in merged if case.seen.contact))
    try:
        found = work.crm.read(ids, [MERGED, MERGED_WHEN]) if ids else {}
    except Transient as error:
        for case in merged:
            case.failed("contact.read", error)
        return {}
    return {contact_id: absorbed_ids(contact) for contact_id, contact in found.items()}


def know_absorbed(tx: Tx, link: Link, contact_ids: Iterable[str]) -> None:
    """The contacts that a link's contact was merged from lead to it, but for those of other users of its provider."""
    ids = sorted(contact_ids)
    known = tx.links.by_contacts(ids)
    for one in ids:
        if not any(_is_other(other, link) for other in known.get(one, [])):
            tx.aliases.add(link.id, link.provider, one)


def _is_other(other: Link, link: Link) -> bool:
    return other.id != link.id and other.provider == link.provider and other.user_id is not None


def _another(work: Work, case: Case, contact: Contact) -> bool:
    """Whether the id of another user who is linked, or was, is on the contact, or another user's link leads to it."""
    told = contact.properties.get(work.id_property(case.link.provider)) or ""
    with work.store.read() as tx:
        links = list(tx.links.by_users(case.link.provider, [told]).values())
        links += tx.links.by_contacts([contact.id]).get(contact.id, [])
    return any(one.state in SHARING for one in links if _is_other(one, case.link))


def _cut(work: Work, case: Case, contact: Contact) -> bool:
    """A link of this provider to the contact that a person or a deletion cut stays cut."""
    with work.store.read() as tx:
        links = tx.links.by_contacts([contact.id]).get(contact.id, [])
    return any(link.provider == case.link.provider and link.state == LinkState.UNLINKED for link in links)


def leave_known(work: Work, batch: list[Case]) -> None:
    """A contact that carries a user's id is ours, or its link is on its way, and one that came of a merge is not new: nobody is
    made of it, unless an earlier worker began to."""
    ours = [work.id_property(provider) for provider in work.mappings]
    for case in batch:
        told = case.seen.contact.properties if case.seen.contact else {}
        if not case.link.intent and any(told.get(name) for name in (*ours, MERGED)):
            case.plan = replace(case.decided, step=Step.FORGET)


def find_users(work: Work, batch: list[Case]) -> list[Case]:
    """Contacts without a user: attach the one user that has the contact's id or email. Returns those that have none."""
    rest = []
    for case, found in zip(batch, work.readers.map(lambda case: _find_user(work, case), batch), strict=True):
        if isinstance(found, ConnectorError):
            case.failed("user.find", found)
        elif len(found) > 1:
            case.end(LinkState.HELD, f"{len(found)} users have this contact's email; merge them at the provider", "hold")
        elif found:
            case.values["user_id"] = found[0]
        else:
            rest.append(case)
    return rest


def refuse_taken_users(work: Work, batch: list[Case]) -> None:
    """Hold contacts whose user is linked to another contact already."""
    for case in batch:
        with work.store.read() as tx:
            other = tx.links.by_users(case.link.provider, [str(case.values["user_id"])]).get(str(case.values["user_id"]))
        if other and other.id != case.link.id and other.contact_id not in (None, case.link.contact_id):
            case.values.pop("user_id")
            case.end(LinkState.HELD, f"its user is linked to contact {other.contact_id}; merge the two", "hold")


def give_way(attached: list[Case], batch: list[Case]) -> None:
    """A new user's own link makes no contact while one of `attached` brings it: it is handed that one when this is recorded."""
    coming = {(case.link.provider, case.values["user_id"]) for case in attached}
    for case in batch:
        if case.link.contact_id is None and (case.link.provider, case.link.user_id) in coming:
            case.error = Fenced(f"{case.link.name}: is handed a contact")


def _find_user(work: Work, case: Case) -> list[str] | ConnectorError:
    contact = case.seen.contact
    assert contact is not None
    if known := contact.properties.get(work.id_property(case.link.provider)):
        return [known]
    email = (contact.properties.get("email") or "").strip().lower()
    if not email or not case.provider.capabilities.find:
        return []
    try:
        return _ids(user.id for user in case.provider.find(email))
    except ConnectorError as error:
        return error


def _ids(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
