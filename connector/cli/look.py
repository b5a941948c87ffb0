"""`status` and `show`: how things stand, and one person on both sides."""

from typing import Annotated, Any

import typer

from connector.cli.common import (
    Config,
    Json,
    out,
    print_json,
    print_line,
    print_pairs,
    print_rows,
    settings_of,
    store_of,
    warn,
    work_of,
)
from connector.cli.words import moment
from connector.sync import who
from connector.sync.status import status as status_of


def named(who_: str | None) -> str | None:
    """WHO, when that may name somebody. Raises BadParameter."""
    if who_ is not None and not all(part.strip() for part in who_.split(":", 1)):
        raise typer.BadParameter(f"'{who_}' names nobody: give an email address, a contact id, or provider:user_id")
    return who_


WHO = "Email address, contact id, or provider:user_id."
Who = Annotated[str, typer.Argument(metavar="WHO", help=WHO, callback=named)]


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    program.command("status")(status)
    program.command("show")(show)


def status(config: Config = None, as_json: Json = False) -> None:
    """Inbox, links by state, what is due, held and parked, the last sweep."""
    told = status_of(store_of(config), settings_of(config).schedule.subscriptions)
    if as_json:
        print_json(told)
        return
    oldest = f", the oldest for {told['oldest_due_seconds']} s" if told["due"] else ""
    print_pairs("deliveries", told["inbox"])
    print_pairs("links", told["links"])
    sides = ", ".join(f"{one['provider'] or 'HubSpot'}: {one['why']}" for one in told["outages"])
    waiting = {"for a side": f"{sum(one['links'] for one in told['outages'])} ({sides})"} if sides else {}
    print_pairs(
        "waiting",
        {
            "due now": f"{told['due']}{oldest}",
            "held": f"{told['held']} (connector link list)",
            "parked": f"{told['parked']} (connector parked list)",
            "drift": f"{told['drift']} (fields that differ and are left alone)",
        }
        | waiting,
    )
    left = {"to take back": told["removals"]} if told["removals"] else {}
    sinks = "; ".join(f"{one['sink'] or 'HubSpot'}: {one['why']}" for one in told["sinks"])
    print_pairs("activities", told["activities"] | left | ({"waiting for": sinks} if sinks else {}))
    print_pairs("subscriptions", {name.replace("_", " "): value for name, value in _lag(told["subscriptions"]).items()})
    swept = moment(told["last_sweep_at"], "")
    out.print(f"last sweep {f'{swept} (UTC)' if swept else 'never: is `connector up` running?'}", markup=False)


def _lag(told: dict[str, Any]) -> dict[str, Any]:
    """What tells how late an opt-out made in the CRM may be noticed."""
    worst = told["lag_seconds"]
    lag = f"{worst:g} s at worst until an opt-out made in the CRM is noticed" if worst else "statuses are not read in turn"
    passed = told["last_pass_at"] or "never yet"
    left = {name: told[name] for name in ("unread", "paused") if told[name]}
    return {"lag": lag, "everybody looked at": passed} | left


def show(who_: Who, config: Config = None, as_json: Json = False) -> int:
    """Both sides and base of one person, side by side, with the history. Exit code 1 when nobody is found."""
    _, work = work_of(config)
    with work.store.read() as tx:
        found = [who.shown(work, tx, link) for link in who.find(tx, who_)]
        nobody = "" if found else who.nobody(tx, who_)
    if not found:
        warn(nobody)
        return 1
    if as_json:
        print_json(found[0] if len(found) == 1 else found)
        return 0
    for one in found:
        _print(one)
    return 0


def _print(one: dict[str, Any]) -> None:
    link = one["link"]
    why = f" ({link['reason']})" if link["reason"] and not link["waits"] else ""
    print_line(f"{link['name']} <-> contact {link['contact_id'] or 'none'}: {link['state']}{why}", 2, style="bold")
    if link["waits"]:
        print_line(link["waits"], 2)
    for row in one["parked"]:
        print_line(f"parked: {row['what']}: {row['reason']} (connector parked list)", 2)
    if one["user"] or one["contact"]:
        _print_sides(one)
    if one["history"]:
        out.print("history", style="bold")
        for entry in one["history"]:
            _print_event(entry)


def _print_sides(one: dict[str, Any]) -> None:
    seen = [f"{side} as seen at {moment(one['link'][f'{side}_seen_at'])}" for side in ("user", "contact") if one[side]]
    out.print(f"{', '.join(seen)} (UTC)", markup=False)
    rows = [
        (f["user"], f["contact"], f["direction"], text(f["user_value"]), text(f["base"]), text(f["contact_value"]), f["state"])
        for f in one["fields"]
    ]
    print_rows(("user field", "property", "direction", "user", "base", "contact", "state"), rows)
    if one["consents"]:
        told = [
            (c["consent"], c["state"], moment(c["at"]) if c["at"] else None, c["source"], c["held"], _heard(c["heard"]))
            for c in one["consents"]
        ]
        print_rows(("consent", "state", "since", "source", "held", "heard"), told)
        passed = one["link"]["statuses_seen_at"]
        last = f"{moment(passed)} (UTC)" if passed else "not yet"
        print_line(
            f"subscription statuses of everybody last read: {last}; an opt-out made in HubSpot since may be missing here", 2
        )


def _heard(heard: dict[str, str]) -> str:
    return ", ".join(f"{voice}: {state}" for voice, state in heard.items())


def _print_event(entry: dict[str, Any]) -> None:
    """An entry of the history: a line for it, and one for each change."""
    cause = entry["delivery"] or (f"run {entry['run']}" if entry["run"] else "")
    unheard = entry["kind"] == "unheard"
    answer = entry["answer"] if unheard or not entry["changes"] else ""
    print_line("  ".join(filter(None, (moment(entry["at"]), entry["kind"], cause, answer))), 21)
    for change in () if unheard else entry["changes"]:
        print_line(f"    {_place(change)}: {text(change['from'])} -> {text(change['to'])} ({change['rule']})", 6)


def _place(change: dict[str, Any]) -> str:
    """Where a change was made: the property, or the user's field, or the subscription of a consent."""
    named: str = (change["property"] if change["side"] == "contact" else None) or change["field"]
    return named


def text(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(value) if isinstance(value, list | tuple) else str(value)
