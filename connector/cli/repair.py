"""`parked list|retry|drop`, `link list|hold|release|unlink|relink` and `quarantine list`."""

from typing import Annotated

import typer

from connector.cli import words
from connector.cli.common import Config, Json, out, print_json, print_rows, store_of, work_of
from connector.cli.look import Who
from connector.errors import Rejected
from connector.model import Link, LinkState
from connector.store import Tx
from connector.sync import repair, who

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the history.")]


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    parked = typer.Typer(help="Work that failed for good and waits for a person.", no_args_is_help=True)
    parked.command("list")(parked_list)
    parked.command("retry")(parked_retry)
    parked.command("drop")(parked_drop)
    program.add_typer(parked, name="parked")
    quarantine = typer.Typer(help="Deliveries that were signed, and that nobody can read.", no_args_is_help=True)
    quarantine.command("list")(quarantine_list)
    program.add_typer(quarantine, name="quarantine")
    link = typer.Typer(help="Repair of single links.", no_args_is_help=True)
    link.command("list")(link_list)
    for name, command in (("hold", link_hold), ("release", link_release), ("unlink", link_unlink), ("relink", link_relink)):
        link.command(name)(command)
    program.add_typer(link, name="link")


def parked_list(config: Config = None, as_json: Json = False) -> None:
    """What is parked, with the reason."""
    with store_of(config).read() as tx:
        rows = tx.parked.rows()
    if as_json:
        told = [
            {"id": r.id, "link": r.link, "what": r.what, "reason": r.reason, "since": r.since.isoformat(), "attempts": r.attempts}
            for r in rows
        ]
        print_json(told)
    elif rows:
        table = [(r.id, r.link, r.what, r.reason, words.moment(r.since.isoformat()), r.attempts) for r in rows]
        print_rows(("id", "link", "what", "reason", "since", "attempts"), table)
    else:
        out.print("nothing is parked")


def parked_retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Ids from `parked list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is parked.")] = False,
    config: Config = None,
) -> None:
    """Try parked work again; a running worker picks it up with the next sweep."""
    if bool(ids) == everything:
        raise typer.BadParameter("give ids, or --all")
    with store_of(config).write() as tx:
        rows = [row for row in tx.parked.rows() if everything or row.id in (ids or [])]
        _all_found(ids or [], [row.id for row in rows])
        rung = repair.retry(tx, rows)
    out.print(f"{rung} will be tried again")
    if rung < len(rows):
        out.print(f"{len(rows) - rung} dropped: the link was cut, or has ended otherwise, since it was parked")


def parked_drop(
    row_id: Annotated[int, typer.Argument(metavar="ID", help="Id from `parked list`.")], reason: Reason, config: Config = None
) -> None:
    """Give parked work up."""
    with store_of(config).write() as tx:
        rows = [row for row in tx.parked.rows() if row.id == row_id]
        _all_found([row_id], [row.id for row in rows])
        repair.drop(tx, rows[0], reason)
    out.print(f"{row_id} dropped")


def _all_found(asked: list[int], found: list[int]) -> None:
    if missing := sorted(set(asked) - set(found)):
        raise Rejected(f"not parked: {', '.join(map(str, missing))}; see: connector parked list")


def quarantine_list(limit: Limit = 100, config: Config = None, as_json: Json = False) -> None:
    """The newest deliveries in quarantine: what is wrong with each. --json shows the bodies, too."""
    with store_of(config).read() as tx:
        rows = tx.inbox.quarantined(limit)
    if as_json:
        print_json(
            [{**row, "received_at": row["received_at"].isoformat(), "body": row["body"].decode(errors="replace")} for row in rows]
        )
    elif rows:
        table = [
            (r["id"], r["source"], r["sender_id"], words.moment(r["received_at"].isoformat()), words.quarantine(r["reason"]))
            for r in rows
        ]
        print_rows(("id", "source", "sender's id", "received", "reason"), table)
    else:
        out.print("nothing is in quarantine")


def link_list(
    state: Annotated[LinkState, typer.Option("--state", help="Which links.")] = LinkState.HELD,
    limit: Limit = 100,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Links in a state, with the reason; among the held ones also single fields that are held."""
    with store_of(config).read() as tx:
        links = tx.links.listed(state, limit)
    if as_json:
        told = [
            {
                "link": one.name,
                "contact_id": one.contact_id,
                "state": one.state.value,
                "reason": one.reason,
                "held": dict(one.held),
            }
            for one in links
        ]
        print_json(told)
    elif links:
        rows = [(one.name, one.contact_id, one.state.value, why) for one in links for why in _reasons(one)]
        print_rows(("link", "contact", "state", "reason"), rows)
    else:
        out.print(f"no link is {state.value}")


def _reasons(link: Link) -> list[str]:
    return [f"{field}: {why}" for field, why in link.held.items()] or [link.reason or ""]


def link_hold(who_: Who, reason: Reason = "held by a person", config: Config = None) -> None:
    """Stop synchronising one link until it is released."""
    with store_of(config).write() as tx:
        repair.hold(tx, link := _one(tx, who_), reason)
    out.print(f"{link.name} is held", markup=False)


def link_release(who_: Who, config: Config = None) -> None:
    """Go on with a held link."""
    with store_of(config).write() as tx:
        repair.release(tx, link := _one(tx, who_))
    out.print(f"{link.name} is released", markup=False)


def link_unlink(who_: Who, config: Config = None) -> None:
    """Cut one link; both sides stay as they are."""
    with store_of(config).write() as tx:
        repair.unlink(tx, link := _one(tx, who_))
    out.print(f"{link.name} is unlinked", markup=False)


def link_relink(
    who_: Who,
    contact: Annotated[str | None, typer.Option("--contact", metavar="ID", help="Contact id to link to.")] = None,
    config: Config = None,
) -> None:
    """Bring a link back, or point it to another contact; the user's id moves there, too."""
    _, work = work_of(config)
    with work.store.read() as tx:
        link = _one(tx, who_)
    repair.relink(work, link, contact)
    out.print(f"{link.name} is linked again", markup=False)


def _one(tx: Tx, who_: str) -> Link:
    found = who.find(tx, who_)
    if not found:
        raise Rejected(who.nobody(tx, who_))
    if len(found) > 1:
        raise Rejected(f"{who_}: {len(found)} links; name one of {', '.join(link.name for link in found)}")
    return found[0]
