"""`explain`: the chain behind one value."""

from typing import Annotated, Any

import typer

from connector.cli.common import Config, Json, out, print_json, print_line, work_of
from connector.cli.look import Who, text
from connector.sync import explain as why
from connector.sync import who


def add_to(program: typer.Typer) -> None:
    """Register the command."""
    program.command("explain")(explain)


def explain(
    who_: Who,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="Property, user field, consent, typologies or communicable.")],
    config: Config = None,
    as_json: Json = False,
) -> int:
    """Why a value is what it is, and why nothing was done about it. Exit code 1 when nobody is found, 2 for an unknown field."""
    _, work = work_of(config)
    with work.store.read() as tx:
        nobody = who.nobody(tx, who_)
        links = [link for link in who.find(tx, who_) if link.provider in work.mappings]
        try:
            found = [why.explain(work, tx, link, field) for link in links]
        except why.UnknownField as error:
            typer.echo(str(error), err=True)
            return 2
    if not found:
        typer.echo(nobody, err=True)
        return 1
    if as_json:
        print_json(found[0] if len(found) == 1 else found)
        return 0
    for one in found:
        _print_chain(one)
    return 0


def _print_chain(one: dict[str, Any]) -> None:
    out.print(f"{one['link']}: {one['field']} is {text(one['value'])} ({one['side']})", markup=False, style="bold")
    for step in one["chain"]:
        facts = [f"{name} {text(step[name])}" for name in ("base", "user", "contact") if step[name] is not None]
        answer = f"answer: {step['answer']}" if step["answer"] and step["answer"] != step["rule"] else ""
        print_line(f"  {str(step['at'])[:19].replace('T', ' ')}  {step['kind']:<16} {step['delivery'] or ''}".rstrip())
        for line in filter(None, [step["rule"], ", ".join(facts), _wrote(step["effect"]), step["mapping"], answer]):
            print_line(f"    {line}", 6)


def _wrote(effect: dict[str, Any] | None) -> str:
    if effect is None or "to" not in effect:
        return ""
    name = (effect["side"] == "contact" and effect["property"]) or effect["side"]
    return f"{name}: {text(effect['from'])} -> {text(effect['to'])}"
