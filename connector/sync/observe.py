"""Seeing both sides of a batch: users from the store or their provider, contacts in one read."""

from collections.abc import Iterable
from dataclasses import replace

from connector.engine.readings import MERGED, wanted_properties
from connector.errors import ConnectorError, Missing, Transient
from connector.mapping.model import TYPOLOGIES
from connector.model import SHARING, LinkState, User
from connector.sync.case import Case, keep
from connector.sync.work import READERS, Work

READING = "user.read"
"""What reading a user is called among the kinds of calls."""


def observe(work: Work, batch: list[Case]) -> None:
    """Fill in `seen` of each case; a side that cannot be read fails its own cases only."""
    everybody, batch = batch, [case for case in batch if not case.link.erasure]
    for case in batch:
        case.seen = replace(case.seen, user=case.link.user, user_gone=case.link.user_gone and not _readable(case))
    fetch(work, [case for case in batch if _needs_fetch(case)], everybody)
    for case in batch:
        if _is_held(case):
            case.seen = replace(case.seen, contact=case.link.contact)
    looking = [case for case in batch if case.open and case.link.contact_id and (not _is_held(case) or case.says_stop)]
    unknown = [case for case in looking if not _enough_known(case)]
    keep(work, [case for case in everybody if case.open and unknown])
    read_contacts(work, [case for case in unknown if case.open])
    shared(work, [case for case in batch if case.open and case.seen.user_gone and case.seen.contact])


def fetch(work: Work, batch: list[Case], everybody: list[Case]) -> None:
    """Read users from their providers, several at a time. everybody: whose leases are kept meanwhile."""
    for first in range(0, len(batch), READERS):
        keep(work, [case for case in everybody if case.open])
        ours = [case for case in batch[first : first + READERS] if case.open]
        for case, found in zip(ours, work.readers.map(_fetch, ours), strict=True):
            _fetched(case, found)


def _fetched(case: Case, found: User | ConnectorError) -> None:
    case.fetched = True
    if isinstance(found, User):
        case.saw_user(found)
    elif isinstance(found, Missing):
        _missing(case)
    else:
        case.failed(READING, found)
        return
    case.answered.add(READING)


def _fetch(case: Case) -> User | ConnectorError:
    try:
        return case.provider.fetch(case.link.user_id or "")
    except ConnectorError as error:
        return error


def _missing(case: Case) -> None:
    """Gone when the provider told so otherwise, too, by an event or a complete listing. Else it may be a hiccup, or an event
    that came before the provider committed it: looked at again."""
    case.seen = replace(case.seen, user=None, user_gone=case.link.user_gone)


def _needs_fetch(case: Case) -> bool:
    link = case.link
    return bool(link.user_id) and _readable(case) and (link.refetch or link.user is None or link.user_gone)


def _readable(case: Case) -> bool:
    return case.provider.capabilities.read


def _is_held(case: Case) -> bool:
    return case.link.state is LinkState.HELD


def _enough_known(case: Case) -> bool:
    """Whether the contact as last seen will do: nothing but a consent changed, at the provider, and all else was agreed."""
    link = case.link
    known = link.contact is not None and link.contact.id == link.contact_id and link.state is LinkState.ACTIVE
    quiet = link.run is None and not (link.reread or link.recheck or link.gone_since or link.failed_since or link.intent)
    if not known or not quiet or link.user_gone or link.erasure:
        return False
    case.seen = replace(case.seen, contact=link.contact)
    plan = case.decide()
    told = any(one.news for one in plan.rulings)
    others = [one for one in plan.decisions if one.field in case.mapping.fields or one.field.user == TYPOLOGIES]
    if told and not any(one.writes_contact or one.writes_user for one in others):
        return True
    case.seen = replace(case.seen, contact=None)
    return False


def read_contacts(work: Work, batch: list[Case]) -> None:
    """Read the contacts of these cases by id, all of them in as few calls as the CRM allows."""
    if not batch:
        return
    ids = list(dict.fromkeys(case.link.contact_id or "" for case in batch))
    try:
        found = work.crm.read(ids, properties(work, batch))
    except Transient as error:
        for case in batch:
            case.failed("contact.read", error)
        return
    for case in batch:
        case.answered.add("contact.read")
        contact = found.get(case.link.contact_id or "")
        case.seen = replace(case.seen, contact=contact, contact_gone=contact is None)


def shared(work: Work, batch: list[Case]) -> None:
    """Whether the contact of a deleted user belongs to another link, too: by its id, or by the id it had before a merge."""
    if not batch:
        return
    ids = {case.link.id: {case.link.contact_id or "", case.seen.contact.id} for case in batch if case.seen.contact}
    with work.store.read() as tx:
        links = tx.links.by_contacts({one for found in ids.values() for one in found})
    for case in batch:
        others = [link for one in ids[case.link.id] for link in links.get(one, [])]
        found = any(one.id != case.link.id and one.user_id and one.state in SHARING for one in others)
        case.seen = replace(case.seen, shared=found)


def properties(work: Work, batch: Iterable[Case]) -> list[str]:
    """Everything the mappings of these cases look at on a contact."""
    batch = list(batch)
    wanted: set[str] = set()
    for name in {case.link.provider for case in batch}:
        types = next(case.policy.subscriptions for case in batch if case.link.provider == name)
        wanted.update(wanted_properties(work.mappings[name], work.id_property(name), types.get))
    if any(case.link.user_id is None for case in batch):
        wanted.update([MERGED, *map(work.id_property, work.mappings)])
    return sorted(wanted)


def conflict_times(work: Work, batch: list[Case]) -> None:
    """For conflicts that the newest change wins: when the contacts' properties changed, then plan again."""
    asking = [case for case in batch if case.open and case.plan and case.plan.needs_times]
    if not asking:
        return
    names = sorted({name for case in asking for name in case.decided.needs_times})
    try:
        times = work.crm.changed_at([case.seen.contact.id for case in asking if case.seen.contact], names)
    except Transient as error:
        for case in asking:
            case.failed("contact.read", error)
        return
    for case in asking:
        assert case.seen.contact is not None
        case.seen = replace(case.seen, times=times.get(case.seen.contact.id, {}))
        case.decide()
