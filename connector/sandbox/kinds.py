"""What object types differ in: how they are called, and which properties make one."""

from dataclasses import dataclass, field

from connector.sandbox.scopes import (
    CUSTOM_READ,
    CUSTOM_SCHEMA_READ,
    CUSTOM_SCHEMA_WRITE,
    CUSTOM_WRITE,
    READ,
    SCHEMA_READ,
    SCHEMA_WRITE,
    WRITE,
    Scopes,
)


@dataclass
class Kind:
    """An object type. required: a new record needs all of them. named_by: it needs one of them.

    key: the property, beside the unique ones, that names a record, in any case. defaults: in an answer to a read that names
    no properties and in answers to writes, beside `core`. created, modified: the properties with the two times.
    reads, writes, schema_reads, schema_writes: the scopes of its records and of its definition.
    """

    id: str
    singular: str
    plural: str
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"
    key: str = ""
    required: list[str] = field(default_factory=list)
    named_by: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    reads: Scopes = CUSTOM_READ
    writes: Scopes = CUSTOM_WRITE
    schema_reads: Scopes = CUSTOM_SCHEMA_READ
    schema_writes: Scopes = CUSTOM_SCHEMA_WRITE

    @property
    def core(self) -> tuple[str, ...]:
        """In every answer, whatever was asked for."""
        return (self.created, "hs_object_id", self.modified)

    @property
    def shown(self) -> tuple[str, ...]:
        """In an answer to a read that names no properties, and in answers to writes."""
        return tuple(sorted({*self.core, *self.defaults}))


CONTACT = Kind(
    "0-1", "contact", "contacts", "createdate", "lastmodifieddate", "email", [], ("email", "firstname", "lastname"),
    ("email", "firstname", "lastname"), ("email", "firstname", "lastname", "phone", "company", "hs_additional_emails"),
    ("0-1", "contact", "contacts"), READ, WRITE, SCHEMA_READ, SCHEMA_WRITE,
)  # fmt: skip
NOTE = Kind(
    "0-46", "note", "notes", required=["hs_timestamp"], searched=("hs_note_body",), names=("0-46", "note", "notes"),
    reads=READ, writes=WRITE, schema_reads=SCHEMA_READ, schema_writes=SCHEMA_WRITE,
)  # fmt: skip
