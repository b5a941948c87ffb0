"""`check` and `setup`: is what we are told usable, and does the portal have what it needs."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.assembly import build
from connector.cli.common import Config, Json, ProviderName, chosen, out, print_json, print_rows, settings_of, work_of
from connector.cli.logs import quiet_logs
from connector.errors import ConfigError
from connector.store.keyed import EARLY, UNKEYED
from connector.sync import portal
from connector.sync import setup as portal_setup
from connector.sync.portal import Grade
from connector.sync.provider_check import Proof, one_way, prove
from connector.sync.setup import Lacks

NAMES = {"list_changed": "changed-since"}
"""Capabilities that docs/providers calls otherwise."""


def add_to(program: typer.Typer) -> None:
    """Register the commands."""
    program.command("check")(check)
    program.command("setup")(setup)


def check(
    live: Annotated[bool, typer.Option("--live", help="Also compare with the portal; with --provider, ask it, too.")] = False,
    provider: ProviderName = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check the configuration and the mappings, offline. Exit code 3 with a line for each finding."""
    warnings: list[str] = []
    findings: list[str] = []
    proof = None
    try:
        warnings, findings = _check(config, live, provider)
        proof = _prove(config, provider) if live and provider else None
    except ConfigError as error:
        findings = error.findings
    findings = [*findings, _wrong(config, provider, proof)] if provider and proof and proof.wrong else findings
    if as_json:
        can = {"capabilities": proof.can} if proof else {}
        print_json({"ok": not findings, "findings": findings, "warnings": warnings, **can})
        raise typer.Exit(3 if findings else 0)
    if proof:
        out.print(f"{provider}: {proof.asked or 'it is only listened to'}", markup=False)
        if not proof.wrong:  # who is not let in can do nothing yet
            print_rows(("can", ""), [(NAMES.get(name, name), "yes" if able else "no") for name, able in proof.can.items()])
    for warning in warnings:
        out.print(f"warning: {warning}", markup=False)
    if findings:
        raise ConfigError(findings)
    out.print("fine")


def _check(config: Path | None, live: bool, provider: str | None) -> tuple[list[str], list[str]]:
    """Warnings and findings. Raises ConfigError for what nothing can be built from, Transient."""
    settings = settings_of(config)
    names = chosen(settings, provider)
    work = build(settings)
    quiet_logs(logging.ERROR)  # what is denied is told in findings
    unkeyed = [] if settings.keyed else [f"hash_key: {UNKEYED}; {EARLY} (later, see: connector doctor)"]
    warnings, findings = [*settings.warnings, *unkeyed, *one_way(work)], list[str]()
    if live:
        portal.require_account(settings, work)
        for one in portal.examine(work, names, work.crm.access()):
            (warnings if one.grade is Grade.NOTE else findings).append(str(one))
    return warnings, findings


def _wrong(config: Path | None, provider: str, proof: Proof) -> str:
    """What came of asking a provider, at the place of the setting that is probably wrong."""
    settings = settings_of(config)
    secret = "client_secret" if settings.providers[provider].client_secret else "api_key"
    return settings.placed(f"providers.{provider}.{secret if proof.refused else 'api_url'}: {proof.wrong}")


def _prove(config: Path | None, provider: str) -> Proof:
    """Whether the provider lets us in. Raises Unavailable."""
    return prove(build(settings_of(config)).providers[provider])


def setup(
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be made (the default).")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Make it.")] = False,
    add_options: Annotated[bool, typer.Option("--add-options", help="Also add options to properties there are.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create what the mappings need and the portal lacks: properties, and the object or event for identity events.

    Never changes what exists, except to add missing options with --add-options. Exit code 3 when the portal refuses something.
    """
    if plan and apply:
        raise typer.BadParameter("--plan or --apply, not both")
    settings, work = work_of(config)
    quiet_logs(logging.ERROR)
    portal.require_account(settings, work)
    lacks = portal_setup.missing(work)
    told = portal_setup.make(work, lacks, add_options) if apply else lacks
    if apply and not told.refused:
        portal_setup.require_id_properties(work)
    if as_json:
        print_json({"applied": apply, **_told(told)})
        raise typer.Exit(3 if told.refused else 0)
    _show(told, apply, add_options)
    if lacks.options and not add_options:
        names = ", ".join(one.property for one in lacks.options)
        out.print(f"options of {names} are added only with: {portal.ADD_OPTIONS}", markup=False)
    elif lacks == Lacks():
        out.print("the portal has everything the mappings need")
    if told.refused:
        raise ConfigError(told.refused)


def _told(lacks: Lacks) -> dict[str, Any]:
    """For scripts."""
    return {
        "properties": [
            {
                "property": one.property.name, "type": one.property.type, "unique": one.property.unique,
                "options": list(one.property.options), "where": one.where,
            }
            for one in lacks.properties
        ],
        "schemas": [
            {
                "schema": one.schema.name, "kind": one.schema.kind, "properties": list(one.properties), "where": one.where,
            }
            for one in lacks.schemas
        ],
        "options": [{"property": one.property, "options": list(one.options), "where": one.where} for one in lacks.options],
        "exists": lacks.exists,
        "refused": lacks.refused,
    }  # fmt: skip


def _show(lacks: Lacks, applied: bool, add_options: bool) -> None:
    """For people: one table of all there is to make, or of all that was made."""
    rows = [
        (one.property.name, one.property.type, ";".join(one.property.options) or _unique(one.property.unique), one.where)
        for one in lacks.properties
    ]
    rows += [(one.schema.name, one.schema.kind, ";".join(one.properties), one.where) for one in lacks.schemas]
    rows += [(one.property, "new options", ";".join(one.options), one.where) for one in lacks.options]
    if rows:
        print_rows(("name", "type", "options, properties", "asked for by"), rows)
        way_out = portal.ADD_OPTIONS if add_options and lacks.options else "connector setup --apply"
        out.print("created" if applied else f"nothing was changed; create them with: {way_out}")
    if lacks.exists:
        out.print(f"there already, as somebody made it meanwhile: {', '.join(lacks.exists)}", markup=False)


def _unique(unique: bool) -> str:
    return "unique" if unique else ""
