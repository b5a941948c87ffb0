"""`check` and `setup`: is what we are told usable, and does the portal have what it needs."""

from pathlib import Path
from typing import Annotated

import typer

from connector.assembly import build
from connector.cli.common import Config, Json, ProviderName, chosen, out, print_json, print_rows, settings_of, work_of
from connector.errors import ConfigError
from connector.mapping.model import Mapping
from connector.sync import setup as portal


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    program.command("check")(check)
    program.command("setup")(setup)


def check(
    live: Annotated[bool, typer.Option("--live", help="Also compare with the portal.")] = False,
    provider: ProviderName = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check the configuration and the mappings, offline. Exit code 3 with a line for each finding."""
    findings: list[str] = []
    warnings: list[str] = []
    try:
        warnings = _check(config, live, provider)
    except ConfigError as error:
        if not as_json:
            raise
        findings = error.findings
    if as_json:
        print_json({"ok": not findings, "findings": findings, "warnings": warnings})
        raise typer.Exit(3 if findings else 0)
    for warning in warnings:
        out.print(f"warning: {warning}", markup=False)
    out.print("fine")


def _check(config: Path | None, live: bool, provider: str | None) -> list[str]:
    settings = settings_of(config)
    names = chosen(settings, provider)
    work = build(settings)
    warnings = list(settings.warnings)
    for name in names:
        warnings += _not_yet(work.mappings[name])
    if live:
        work.crm.check_portal()
        found = work.crm.properties()
        findings = [line for name in names for line in portal.disagreements(work.mappings[name], found)]
        if findings:
            raise ConfigError(findings)
        portal.require_id_properties(work)
    return warnings


def _not_yet(mapping: Mapping) -> list[str]:
    """Sections that are read and checked, and not acted on by this version."""
    given = [name for name in ("typologies", "consents", "communicable") if getattr(mapping, name)]
    if mapping.events.as_ != "none":
        given.append("events")
    return [f"{mapping.path}: {name}: read and checked, but not acted on by this version" for name in given]


def setup(
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be made (the default).")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Make it.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create what the portal lacks: the unique id property, and properties the mappings name. Never changes what exists."""
    if plan and apply:
        raise typer.BadParameter("--plan or --apply, not both")
    _, work = work_of(config)
    work.crm.check_portal()
    lacks = portal.missing(work, work.crm.properties())
    if apply:
        portal.create(work, lacks)
        portal.require_id_properties(work)
    rows = [
        (one.property.name, one.property.type, "unique" if one.property.unique else "", ";".join(one.property.options), one.where)
        for one in lacks
    ]
    if as_json:
        told = [{"property": r[0], "type": r[1], "unique": bool(r[2]), "options": r[3].split(";") if r[3] else []} for r in rows]
        print_json({"applied": apply, "properties": told})
    elif rows:
        print_rows(("property", "type", "", "options", "asked for by"), rows)
        out.print("created" if apply else "nothing was changed; create them with: connector setup --apply")
    else:
        out.print("the portal has everything the mappings need")
