"""`consents`, `export` and `erase`: what one person may ask for."""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.cli.common import Config, Json, json_text, out, print_json, print_rows, progress, store_of, work_of
from connector.cli.look import WHO, Who, named
from connector.cli.words import moment
from connector.errors import Rejected, Unavailable
from connector.model import LIVING, Link
from connector.store import Tx
from connector.store.ledger import LedgerRow
from connector.sync import contradictions, who
from connector.sync import erase as erasing
from connector.sync import export as exporting
from connector.sync.erase import Outcome
from connector.sync.people import LEFT
from connector.yamlfile import plain


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    program.command("consents")(consents)
    program.command("export")(export)
    program.command("erase")(erase)


def consents(
    who_: Annotated[str | None, typer.Argument(metavar="[WHO]", help=WHO, callback=named)] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check that nobody changed what is kept.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What a person consented to, as proof: when, where, to which text, and where we have it from.

    Exit code 1: nobody, or a row that somebody edited.
    """
    if verify == bool(who_):
        raise typer.BadParameter("give WHO, or --verify")
    if who_:
        _consents_of(who_, config, as_json)
    else:
        _verify(config, as_json)


def _verify(config: Path | None, as_json: bool) -> None:
    with store_of(config).read() as tx, progress(quiet=as_json) as tell:
        head = tx.ledger.head()
        findings = contradictions.findings(tx, lambda done, of: tell("checking consents", done, of))
    if as_json:
        print_json({"rows": head.count, "end": head.chain, "findings": findings})
    elif not findings:
        out.print(f"{head.count} rows, nothing was changed; the end is {head.chain or 'not begun'}")
    if findings and not as_json:
        raise Rejected("\n".join(f"consents: {one}" for one in findings))
    raise typer.Exit(1 if findings else 0)


def _consents_of(who_: str, config: Path | None, as_json: bool) -> None:
    with store_of(config).read() as tx:
        rows = [_statement(row, link) for link in _found(tx, who_) for row in _proof(tx, who_, link)]
    if as_json:
        print_json(rows)
    elif rows:
        shown = [row | {name: row[name] and moment(row[name]) for name in ("occurred_at", "learnt_at")} for row in rows]
        shown = [row | {"edited": "edited" if row["edited"] else None} for row in shown]
        print_rows([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in shown])
    else:
        out.print("no consent was ever told")
    if edited := sum(row["edited"] for row in rows):
        raise Rejected(
            f"consents: {edited} of these rows were edited and prove nothing; see all with: connector consents --verify"
        )


def _proof(tx: Tx, who_: str, link: Link) -> list[LedgerRow]:
    """A link's rows. Of somebody erased, those that stayed: whoever names the user shows whose they are."""
    provider, _, user_id = who_.partition(":")
    erased = link.provider == provider and link.user_id != user_id
    return tx.ledger.of_subject(provider, user_id) if erased else exporting.statements(tx, link)


def _statement(row: LedgerRow, link: Link) -> dict[str, Any]:
    return {
        "purpose": row.purpose, "state": row.state.value, "occurred_at": row.occurred_at and row.occurred_at.isoformat(),
        "learnt_at": row.learnt_at and row.learnt_at.isoformat(), "source": row.source, "entry_point": row.entry_point,
        "legal_basis": row.legal_basis, "text_version": row.text_version, "delivery": row.delivery, "link": link.name,
        "edited": row.edited,
    }  # fmt: skip


def export(
    who_: Who,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, for you alone to read.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Everything we hold about a person, always as JSON. Exit code 1: nobody."""
    _, work = work_of(config)
    with work.store.read() as tx:
        told = json_text(exporting.export(work, tx, _found(tx, who_)), indent=2)
    if file is None:
        print(told)
        return
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), 0o600)  # it may have been there before
        opened.write(told + "\n")
    out.print(f"written to {file}", markup=False)


def erase(
    who_: Who,
    user_too: Annotated[bool, typer.Option("--user-too", help="Erase the user at the provider first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Forget a person: the contact is erased (or archived, as the mapping says), and our copies are. Nothing brings it back."""
    _, work = work_of(config)
    with work.store.read() as tx:
        links = _found(tx, who_)
    _require_one_person(who_, links)
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"Erase {plain(_named(links))}? This cannot be taken back", abort=True, err=True)
    users = erasing.erase_users(work, links) if user_too else {}
    outcomes = erasing.erase(work, links, time.sleep)
    erased = [users.get(link.id, False) for link in links]
    if as_json:
        told = zip(outcomes, erased, strict=True)
        print_json({"erased": [{"link": o.link, "contact": o.contact, "copies": o.copies, "user": user} for o, user in told]})
    else:
        for outcome, user in zip(outcomes, erased, strict=True):
            _print(outcome, user)
    _complain(outcomes, [link for link in links if user_too and not users[link.id]])


def _require_one_person(who_: str, links: Sequence[Link]) -> None:
    """Links of several providers are one person; two users of one provider may be two, unless one of them has left. Raises
    BadParameter.
    """
    living = [link for link in links if link.state in LIVING]
    for provider, count in Counter(link.provider for link in living).items():
        if count > 1:
            several = _named([link for link in living if link.provider == provider])
            raise typer.BadParameter(
                f"{who_} is {count} users of {provider}, and nobody was erased: {several}. Erase them one by one"
            )


def _named(links: Sequence[Link]) -> str:
    return ", ".join(f"{link.name} (contact {link.contact_id or 'none'}, {link.state.value})" for link in links)


def _print(outcome: Outcome, user: bool) -> None:
    told = [outcome.contact, "user erased at the provider" if user else "", "our copies are gone" if outcome.copies else ""]
    out.print(f"{outcome.link}: {', '.join(one for one in told if one)}", markup=False)


def _complain(outcomes: list[Outcome], users_left: list[Link]) -> None:
    """Raises Unavailable for what is still to be done, Rejected for what cannot be."""
    if parked := [one for one in outcomes if one.parked]:
        raise Rejected("\n".join(f"{one.link}: {one.why}; then: connector parked retry" for one in parked))
    if late := [one for one in outcomes if not one.copies]:
        stays = "it stays due and a running worker completes it"
        told = (f"{one.link}: not finished: {one.why or 'HubSpot or a worker takes its time'}; {stays}" for one in late)
        raise Unavailable("\n".join(told))
    if left := [one.link for one in outcomes if LEFT in one.contact]:
        raise Rejected(f"{', '.join(left)}: {LEFT}; see: connector doctor")
    if users_left:
        names = ", ".join(link.name for link in users_left)
        raise Rejected(f"{names}: the provider cannot erase users, or there is none; do it there by hand")


def _found(tx: Tx, who_: str) -> list[Link]:
    """The links of WHO. Raises Rejected when there is nobody."""
    links = who.find(tx, who_)
    if not links:
        raise Rejected(who.nobody(tx, who_))
    return links
