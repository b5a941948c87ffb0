"""`explain`: the chain behind one value."""

from typing import Annotated, Any

import typer

from connector.cli.common import Config, Json, out, print_json, print_line, warn, work_of
from connector.cli.look import Who, text
from connector.cli.words import moment
from connector.model import Link
from connector.store import Tx
from connector.sync import explain as why
from connector.sync import who
from connector.sync.work import Work

FIELD = "Property, user field, id, consent or its subscription, typologies or communicable."


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("explain")(explain)


def explain(
    who_: Who,
    field: Annotated[str, typer.Argument(metavar="FIELD", help=FIELD)],
    config: Config = None,
    as_json: Json = False,
) -> int:
    """Why a value is what it is, and why nothing was done about it. Exit code 1 when nobody is found, 2 for an unknown field."""
    _, work = work_of(config)
    with work.store.read() as tx:
        nobody = who.nobody(tx, who_)
        links = [link for link in who.find(tx, who_) if link.provider in work.mappings]
        found, unknown = _explained(work, tx, links, field)
    if not found:
        for line in unknown or [nobody]:
            warn(line)
        return 2 if unknown else 1
    if as_json:
        print_json(found[0] if len(links) == 1 else found)
        return 0
    for one in found:
        _print_chain(one)
    return 0


def _explained(work: Work, tx: Tx, links: list[Link], field: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The chains for those links whose mapping has the field, and what to say of the other mappings."""
    found, unknown = [], {}
    for link in links:
        try:
            found.append(why.explain(work, tx, link, field))
        except why.UnknownField as error:
            unknown[link.provider] = str(error)
    return found, list(unknown.values())


def _print_chain(one: dict[str, Any]) -> None:
    out.print(f"{one['link']}: {one['field']} is {text(one['value'])} ({one['side']})", markup=False, style="bold")
    for step in one["chain"]:
        facts = [f"{name} {text(step[name])}" for name in ("base", "user", "contact") if step[name] is not None]
        answer = f"answer: {step['answer']}" if step["answer"] and step["answer"] != step["rule"] else ""
        whose = f"  for {step['link']}" if step["link"] != one["link"] else ""
        print_line(f"  {moment(step['at'])}  {step['kind']:<16} {step['delivery'] or ''}{whose}".rstrip())
        for line in filter(None, [step["rule"], ", ".join(facts), _wrote(step["effect"]), step["mapping"], answer]):
            print_line(f"    {line}", 6)


def _wrote(effect: dict[str, Any] | None) -> str:
    if effect is None or "to" not in effect:
        return ""
    name = (effect["side"] == "contact" and effect["property"]) or effect["side"]
    return f"{name}: {text(effect['from'])} -> {text(effect['to'])}"
