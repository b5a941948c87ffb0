"""Telling one link that fails from a side that is down: in an outage nobody fails, everybody waits.

For each kind of call (reading users, writing contacts ...) a mark says when it last worked for some link of the provider. A
link whose call fails while the same call works for others has a problem of its own; that counts as an attempt.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from connector.errors import ConnectorError, Denied, Paused, Transient
from connector.store import Tx
from connector.sync.case import Case

TOLD = timedelta(minutes=1)
"""How often a side that is out is logged."""

OF_SIDE = re.compile(r"\w+: (?:.*: )?(?:(?P<status>401|403|408|423|425|429|477|5\d\d)(?!\d)|(?P<out>\w+://\S+ .*?): look at )")
"""Messages about a side, not about a record: a status of the whole, or a server that cannot be reached."""

REFUSED = ("401", "403")
"""Statuses that stay until a person does something."""

log = structlog.get_logger()

OFTEN = timedelta(seconds=5)
"""How often at most a mark is renewed."""

MOVED = "moved"
"""The mark that says when a batch was last recorded."""


def mark(tx: Tx, batch: Iterable[Case]) -> None:
    """Remember which kinds of call worked in this batch. When a side is back, who waited for it need not wait any longer."""
    batch = list(batch)
    failing = [case.link.failed_since for case in batch if case.link.failed_since]
    for provider, call in sorted({(case.link.provider, call) for case in batch for call in case.answered}):
        name = f"healthy:{provider}:{call}"
        found = tx.cursors.get(name)
        if found is None or tx.now - found[1] > OFTEN or any(found[1] < since for since in failing):
            tx.cursors.set(name)
    for provider in sorted({case.link.provider for case in batch if case.link.failed_since and case.error is None}):
        tx.links.bring_forward(provider)
    _sides(tx, batch)


def moved(tx: Tx) -> None:
    """Remember that a batch is recorded: however much is due, it is being worked off."""
    found = tx.cursors.get(MOVED)
    if found is None or tx.now - found[1] > OFTEN:
        tx.cursors.set(MOVED)


def _sides(tx: Tx, batch: Iterable[Case]) -> None:
    """Remember which sides do not work, from when on and why, for people."""
    answered = {(_side(case, call), call) for case in batch for call in case.answered}
    for side, call in sorted(answered):
        tx.troubles.works(side, call)
    for case in batch:
        why = "" if case.error is None or case.queued else of_side(str(case.error)) if brief(case.error) else ""
        here = (_side(case, case.call), case.call)
        if why and (isinstance(case.error, Paused) or not (here in answered or others_settle(tx, case, _since(tx, case)))):
            tx.troubles.fails(*here, why)


def _since(tx: Tx, case: Case) -> datetime:
    return case.link.failed_since or tx.now


def _side(case: Case, call: str) -> str:
    """The provider for calls about users; "" for those to the CRM."""
    return case.link.provider if call.startswith("user.") else ""


def brief(error: ConnectorError) -> str:
    """What an error says of a whole side: a status, or what its server does; nothing when it is about one record or one part."""
    found = OF_SIDE.match(str(error)) if isinstance(error, Transient) and not isinstance(error, Denied) else None
    return (found["status"] or found["out"]) if found else ""


def of_side(message: str) -> str:
    """What such an error's message says of the side, without the record: of a refusal also what it asks for."""
    found = OF_SIDE.match(message)
    if found and found["status"] in REFUSED:
        return message[found.start("status") :]
    return (found["status"] or found["out"]) if found else ""


def tell(tx: Tx) -> None:
    """Log, once a minute as long as it lasts, what links wait for."""
    for one in tx.troubles.untold(TOLD):
        where = f"provider {one.provider}" if one.provider else "crm"
        log.warning("task.postponed", task="work_off", side=where, why=one.why, since=one.since.isoformat(), links=one.links)


def others_settle(tx: Tx, case: Case, since: datetime) -> bool:
    """Whether the call this link fails in has worked for another link since."""
    found = tx.cursors.get(f"healthy:{case.link.provider}:{case.call}")
    return found is not None and found[1] > since
