"""`doctor`, the portal: whose it is, its clock, what the token may do, and whether the mappings fit."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from connector.crm.base import Access
from connector.errors import ConnectorError, Paused, Transient
from connector.settings import Settings
from connector.sync import demands
from connector.sync.checks import Check, State, split
from connector.sync.portal import MODES, Grade, examine, missing_scopes
from connector.sync.work import Work

DRIFTS, BREAKS = 30.0, 120.0
"""Seconds between HubSpot's clock and ours that are worth a word, and that do harm: signatures are good for five minutes."""

REFUSED = re.compile(r"\b40[13]\b")
"""How HubSpot says that it does not accept the token; anything else that it lets us wait for is about calls."""

WAY_OUT = "look at crm.base_url and the network"

NEARLY = 0.8
"""The part of a limit from which on it is worth a word."""


def portal(settings: Settings, work: Work) -> list[Check]:
    """All about the portal; when it cannot be asked, just that."""
    try:
        return list(_portal(settings, work))
    except Paused as error:
        refused = REFUSED.search(str(error))
        way_out = "look at crm.access_token" if refused else "find out who makes all the calls: HubSpot shows that for each app"
        return [Check("crm", State.PROBLEM, settings.placed(str(error)), way_out)]
    except Transient as error:
        detail = str(error).removesuffix(f": {WAY_OUT}")
        return [Check("crm", State.UNREACHABLE, detail, f"{WAY_OUT}, and at status.hubspot.com")]
    except ConnectorError as error:
        return [split("crm", State.PROBLEM, str(error))]


def _portal(settings: Settings, work: Work) -> Iterator[Check]:
    before = datetime.now(UTC)
    access = work.crm.access()
    if access.portal_id != settings.crm.portal_id:
        detail = f"crm.portal_id is {settings.crm.portal_id}, but crm.access_token belongs to portal {access.portal_id}"
        yield Check("crm", State.PROBLEM, settings.placed(detail), "correct one of the two")
        return
    yield Check("crm", State.OK, f"portal {access.portal_id} at {settings.crm.base_url}")
    if access.clock:
        yield _clock(access.clock, before)
    yield _scopes(work, access)
    yield _subscriptions(work, access)
    yield _account(work, access)
    yield from _limits(access)
    yield from _mappings(work, access)


def _clock(theirs: datetime, before: datetime) -> Check:
    """theirs: whole seconds, so anything below one is nothing. before: when we asked."""
    ours = before + (datetime.now(UTC) - before) / 2
    ahead = (theirs - ours).total_seconds()
    off = max(0.0, abs(ahead) - 1)
    if off < DRIFTS:
        return Check("crm clock", State.OK, f"{off:.0f} s from this machine's")
    detail = f"{off:.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's, signatures are good for 300 s"
    return Check("crm clock", State.PROBLEM if off > BREAKS else State.WARNING, detail, "set this machine's clock by NTP")


def _scopes(work: Work, access: Access) -> Check:
    needs = demands.scopes(work.mappings)
    names = ", ".join(one.any_of[0] for one in needs)
    if access.scopes is None:
        return Check("scopes", State.WARNING, "HubSpot does not tell the token's", f"compare with the app's settings: {names}")
    lacking = missing_scopes(needs, access)
    told = ", ".join(f"{one.any_of[0]} ({one.where})" for one in lacking)
    if any(not one.asked for one in lacking):
        return Check("scopes", State.PROBLEM, f"the token lacks {told}", "grant them in the app's settings")
    if lacking:
        return Check("scopes", State.WARNING, f"HubSpot does not name {told}", "what is closed is told below")
    return Check("scopes", State.OK, f"all {len(needs)} that are needed are granted{_setup_scopes(work, access)}")


def _setup_scopes(work: Work, access: Access) -> str:
    kinds = {mapping.events.as_ for mapping in work.mappings.values()} | {"contacts"}
    wanted = [scope for part, scope in demands.SETUP_SCOPES.items() if part in kinds and scope not in (access.scopes or ())]
    return f"; without {', '.join(wanted)}, which setup --apply needs" if wanted else ""


def _subscriptions(work: Work, access: Access) -> Check:
    name = "subscriptions"
    if not any(True for mapping in work.mappings.values() for _ in demands.subscriptions(mapping)):
        return Check(name, State.OK, "no mapping names any")
    if access.subscriptions in MODES:
        return Check(name, State.WARNING, *MODES[access.subscriptions])
    if access.subscriptions == "none":
        way_out = "grant the scopes, or leave `subscription` out"
        return Check(name, State.PROBLEM, "closed to the token, so a consent's `property` is the only way to HubSpot", way_out)
    return Check(name, State.OK, "statuses are read and written a hundred addresses a call, with times")


def _account(work: Work, access: Access) -> Check:
    has = {"custom_object": access.custom_objects, "custom_event": access.custom_events}
    wanted = [need for need in demands.events(work.mappings) if not has[need.schema.kind]]
    told = ", ".join(f"{demands.KINDS[kind]}s {'yes' if there else 'no'}" for kind, there in has.items())
    if wanted:
        return Check("account", State.PROBLEM, f"{told}, but a mapping asks for them", "see mapping")
    return Check("account", State.OK, told)


def _limits(access: Access) -> Iterator[Check]:
    """How much is used of what the account may have, where HubSpot tells."""
    for name, used, most in (
        ("calls today", access.calls_today, access.calls_limit),
        ("contact properties", access.properties_made, access.properties_limit),
    ):
        if used is None or not most:
            yield Check(name, State.OK, "HubSpot does not tell")
        elif used >= most:
            yield Check(name, State.PROBLEM, f"all {most:,} are used", "find out by whom")
        elif used >= NEARLY * most:
            yield Check(name, State.WARNING, f"{used:,} of {most:,} are used", "find out by whom")
        else:
            yield Check(name, State.OK, f"{used:,} of {most:,}")


def _mappings(work: Work, access: Access) -> Iterator[Check]:
    """As `check --live`."""
    found = [one for one in examine(work, list(work.mappings), access) if one.what != "subscriptions"]
    for one in found:
        state = State.WARNING if one.grade is Grade.NOTE else State.PROBLEM
        yield Check("mapping", state, f"{one.where}: {one.what}: {one.wrong}", one.way_out)
    if not found:
        yield Check("mapping", State.OK, "the portal has what the mappings need")
