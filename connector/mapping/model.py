"""What a mapping file may say. `loader.load` makes one from a file; `checks` holds what a mapping must not say.

The engine reads plain attributes: defaults are filled in, `field.direction` is the direction in force.
"""

from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr, SecretStr, WithJsonSchema

from connector import settingwords
from connector.mapping import checks
from connector.model import USER_FIELDS, USER_KINDS
from connector.yamlfile import Document
from connector.yamlwords import Loc, refuse, web_address


class Direction(StrEnum):
    """Which side follows. `to_contact`: the contact follows the user."""

    BOTH = "both"
    TO_CONTACT = "to_contact"
    TO_USER = "to_user"

    @property
    def writes_contact(self) -> bool:
        """Whether the contact is written."""
        return self is not Direction.TO_USER

    @property
    def writes_user(self) -> bool:
        """Whether the user is written."""
        return self is not Direction.TO_CONTACT


class Conflict(StrEnum):
    """Who wins when both sides changed a field to different values. `hold`: a person decides."""

    NEWEST = "newest"
    USER = "user"
    CONTACT = "contact"
    HOLD = "hold"


class Blank(StrEnum):
    """What a blank does to the other side: `clear` it, or `keep` what it has."""

    CLEAR = "clear"
    KEEP = "keep"


class FieldType(StrEnum):
    """How a value is read and compared."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    SET = "set"
    PHONE = "phone"
    EMAIL = "email"


class Transform(StrEnum):
    """Changes that bring a text of either side into normal form; see `transforms`."""

    TRIM = "trim"
    COLLAPSE = "collapse"
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"
    E164 = "e164"


class LegalBasis(StrEnum):
    """HubSpot's words for the ground on which a consent is recorded."""

    LEGITIMATE_INTEREST_PQL = "LEGITIMATE_INTEREST_PQL"
    LEGITIMATE_INTEREST_CLIENT = "LEGITIMATE_INTEREST_CLIENT"
    LEGITIMATE_INTEREST_OTHER = "LEGITIMATE_INTEREST_OTHER"
    PERFORMANCE_OF_CONTRACT = "PERFORMANCE_OF_CONTRACT"
    CONSENT_WITH_NOTICE = "CONSENT_WITH_NOTICE"
    NON_GDPR = "NON_GDPR"
    PROCESS_AND_STORE = "PROCESS_AND_STORE"


TYPE_OF_USER_FIELD = {
    "email": FieldType.EMAIL,
    "birth_date": FieldType.DATE,
    "created_at": FieldType.DATETIME,
    "updated_at": FieldType.DATETIME,
    "last_login_at": FieldType.DATETIME,
    "email_verified": FieldType.BOOL,
}
"""The type of an entry that names none; others are text, or choice when they have `values`."""


def _one_or_more(value: Any) -> Any:
    """A single entry stands for a list of one."""
    return [value] if isinstance(value, str) else value


Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]
Property = Annotated[
    Text,
    pydantic.AfterValidator(checks.property_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}),
]
UserField = Annotated[
    Text,
    pydantic.AfterValidator(checks.user_field),
    WithJsonSchema(
        {"anyOf": [{"enum": list(USER_FIELDS)}, {"type": "string", "pattern": r"^custom\.[A-Za-z0-9_][A-Za-z0-9_.-]*$"}]}
    ),
]
EventKind = Annotated[Text, pydantic.AfterValidator(checks.event_kind), WithJsonSchema({"enum": list(USER_KINDS)})]
Values = Annotated[
    dict[str, Text],
    pydantic.Field(min_length=1),
    WithJsonSchema({"type": "object", "minProperties": 1, "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
Transforms = Annotated[
    tuple[Transform, ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [t.value for t in Transform]},
                {"type": "array", "items": {"enum": [t.value for t in Transform]}},
            ]
        }
    ),
]


class Part(BaseModel):
    """A part of a mapping: no unknown keys, never changed after loading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, coerce_numbers_to_str=True, hide_input_in_errors=True
    )
    _line: int = PrivateAttr(0)
    _loc: Loc = PrivateAttr(())

    @property
    def loc(self) -> Loc:
        """Where this part stands in its mapping; () when the mapping was not read from a file."""
        return self._loc

    @property
    def line(self) -> int:
        """Line in the mapping file, from 1; 0 when the mapping was not read from a file."""
        return self._line


class Defaults(Part):
    """What holds for every field that says nothing else."""

    direction: Direction = pydantic.Field(Direction.BOTH, description="Which side follows the other.")
    conflict: Conflict = pydantic.Field(Conflict.NEWEST, description="Who wins when both sides changed the field differently.")
    on_blank: Blank = pydantic.Field(Blank.KEEP, description="Whether a cleared field clears the other side.")
    newest_fallback: Literal["user", "contact", "hold"] = pydantic.Field(
        "user", description="Decides for `conflict: newest` where a side does not tell when it changed."
    )


class Field(Part):
    """One user field and the contact property it belongs to."""

    user: UserField = pydantic.Field(description="The user field: one of the shared vocabulary, or custom.<name>.")
    contact: Property = pydantic.Field(description="Internal name of the contact property in the CRM.")
    type: FieldType = pydantic.Field(
        FieldType.TEXT,
        description="How the value is read. Left out: as suits the user field; choice with `values`; else text.",
    )
    direction: Direction = pydantic.Field(Direction.BOTH, description="Which side follows. Left out: as in `defaults`.")
    conflict: Conflict = pydantic.Field(Conflict.NEWEST, description="Who wins a conflict. Left out: as in `defaults`.")
    on_blank: Blank = pydantic.Field(Blank.KEEP, description="What a blank does to the other side. Left out: as in `defaults`.")
    enforce: bool = pydantic.Field(False, description="With `to_contact`: undo an edit made in the CRM at once.")
    values: Values = pydantic.Field(default_factory=dict, description="Provider's value -> internal name of the CRM option.")
    transform: Transforms = pydantic.Field(
        (), description="Changes that bring the text into normal form, in this order; both sides are compared in it."
    )
    region: Text | None = pydantic.Field(None, description="Country (ISO code) of phone numbers written without one.")
    purpose: Text | None = pydantic.Field(None, description="The consent without which the contact does not get this field.")
    on_withdrawal: Blank = pydantic.Field(Blank.KEEP, description="What happens to the property when that consent is withdrawn.")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _infer_type(cls, data: Any) -> Any:
        if isinstance(data, dict) and "type" not in data:
            user = data.get("user")
            plain = FieldType.CHOICE if data.get("values") else FieldType.TEXT
            return {**data, "type": TYPE_OF_USER_FIELD.get(user, plain) if isinstance(user, str) else plain}
        return data

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        refuse(list(checks.field(self)))
        return self


class Typologies(Part):
    """Classes of user, added to a multiple-choice property of the contact."""

    contact: Property = pydantic.Field(description="Internal name of the multiple-checkboxes property.")
    values: Values = pydantic.Field(description="Provider's typology -> internal name of the CRM option. Others are ignored.")
    direction: Literal["to_contact", "both"] = pydantic.Field(
        "to_contact", description="both: an option added to the contact gives the user that membership at the provider."
    )
    remove: bool = pydantic.Field(
        False, description="true: a typology the user loses is also taken from the contact; with `direction: both` also back."
    )

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        refuse(list(checks.single_options(self.values)))
        return self

    @property
    def both(self) -> bool:
        """Whether memberships are written to the provider."""
        return self.direction == "both"


class Consent(Part):
    """One consent and the HubSpot subscription type it stands for."""

    consent: Text = pydantic.Field(description="The provider's name of the consent (its purpose).")
    subscription: Annotated[Text, WithJsonSchema({"type": ["string", "integer"]})] | None = pydantic.Field(
        None, description="Name or id of the HubSpot subscription type."
    )
    direction: Direction = pydantic.Field(
        Direction.BOTH, description="Which side follows. The user's opt-out reaches the CRM in any case."
    )
    legal_basis: LegalBasis | None = pydantic.Field(None, description="Recorded with a grant.")
    explanation: str = pydantic.Field("", description="Recorded with a grant: where and how the person agreed.")
    property: Property | None = pydantic.Field(None, description="Yes/no property that shows the consent; blank while unknown.")


class Communicable(Part):
    """The property that says whether this person may be contacted."""

    contact: Property = pydantic.Field(description="Yes/no property: true only while one of the consents is known to be granted.")
    any_of: tuple[Text, ...] = pydantic.Field(min_length=1, description="Consents, each declared under `consents`.")


class Forward(Part):
    """A further sink that gets the same events."""

    as_: Literal["segment"] = pydantic.Field(alias="as", description="The sink's protocol.")
    url: Annotated[Text, pydantic.AfterValidator(web_address)] = pydantic.Field(description="Base address; /v1/batch is added.")
    write_key: Annotated[SecretStr, pydantic.AfterValidator(settingwords.sendable)] = pydantic.Field(
        min_length=1, description="The sink's write key."
    )
    deletes: bool = pydantic.Field(
        True,
        description="Delete deleted users there, where `lifecycle.user_deleted` is `archive_contact`, whatever `types` says.",
    )


class Events(Part):
    """What becomes of identity events (registered, logged in, opted out ...)."""

    as_: Literal["custom_object", "custom_event", "note", "none"] = pydantic.Field(
        "custom_object", alias="as", description="The record made for each event."
    )
    object: Annotated[Text, pydantic.AfterValidator(checks.object_name)] = pydantic.Field(
        "identity_event", description="Name of the custom object or custom event."
    )
    types: tuple[EventKind, ...] = pydantic.Field(USER_KINDS, description="Kinds of event to record; others are ignored.")
    details: tuple[Text, ...] = pydantic.Field((), description="Keys taken along from the delivery.")
    forward: tuple[Forward, ...] = pydantic.Field((), description="Further sinks that get the same events.")


class Lifecycle(Part):
    """What beginnings and ends on one side mean for the other."""

    user_created: Literal["create_contact", "link_only", "ignore"] = pydantic.Field(
        "create_contact", description="A user without contact: create one, only link an existing one, or ignore."
    )
    contact_created: Literal["create_user", "link_only", "ignore"] = pydantic.Field(
        "ignore", description="A contact without user: create one, only link an existing one, or ignore."
    )
    user_deleted: Literal["archive_contact", "erase_contact", "unlink"] = pydantic.Field(
        "archive_contact", description="The user is gone: archive the contact, erase it for good, or cut the link."
    )
    contact_deleted: Literal["unlink", "delete_user"] = pydantic.Field(
        "unlink", description="The contact is gone: cut the link, or delete the user."
    )
    contact_restored: Literal["ignore", "relink"] = pydantic.Field(
        "ignore", description="A deleted contact is restored in the CRM: leave the link cut, or go on with it."
    )
    user_erased: Literal["erase_contact", "archive_contact"] = pydantic.Field(
        "erase_contact", description="The person asked to be forgotten: delete the contact for good, or archive it."
    )


TYPOLOGIES, CONSENT, COMMUNICABLE = "typologies", "consent.", "communicable"
"""Stand in the place of a user field in `Mapping.rules`."""


def _made(part: Any, user: str, kind: FieldType, **more: Any) -> Field:
    """An entry for a property that another part of the mapping writes."""
    plain = {"contact": getattr(part, "contact", None), "direction": Direction.TO_CONTACT, "conflict": Conflict.USER}
    field = Field.model_construct(user=user, type=kind, **{**plain, **more})
    field._line, field._loc = part.line, part.loc
    return field


class Mapping(Part):
    """One provider's mapping."""

    version: Literal[1] = pydantic.Field(description="Version of this grammar: 1.")
    match: tuple[UserField, ...] = pydantic.Field(("email",), description="User fields that find an existing contact, in order.")
    defaults: Defaults = pydantic.Field(default_factory=Defaults, description="What holds for fields that say nothing else.")
    fields: tuple[Field, ...] = pydantic.Field(min_length=1, description="Which user field belongs to which contact property.")
    typologies: Typologies | None = pydantic.Field(None, description="Classes of user, added on the contact.")
    consents: tuple[Consent, ...] = pydantic.Field((), description="Consents and their subscription types.")
    communicable: Communicable | None = pydantic.Field(None, description="The property: may this person be contacted?")
    events: Events = pydantic.Field(default_factory=lambda: Events(as_="none"), description="Records of identity events.")
    lifecycle: Lifecycle = pydantic.Field(default_factory=Lifecycle, description="Creation and deletion.")
    _path: Path | None = PrivateAttr(None)
    _document: Document | None = PrivateAttr(None)
    _sha256: str = PrivateAttr("")

    @property
    def path(self) -> Path | None:
        """The file this mapping was read from."""
        return self._path

    def where(self, part: Part | None = None, *keys: str) -> str:
        """file:line:column of what stands under the first of these keys that a part has; of the part itself when it has none."""
        if self._document is None:
            return "mapping:1:1"
        loc = part.loc if part else ()
        known = ((*loc, key) for key in keys if (*loc, key) in self._document.values)
        return self._document.where(next(known, loc))

    def says(self, part: Part, key: str) -> bool:
        """Whether the file itself has this key in a part, so that its value is no default."""
        return self._document is not None and (*part.loc, key) in self._document.values

    @property
    def sha256(self) -> str:
        """Digest of the file's bytes, in hex; it names this version of the mapping in plans and in the history."""
        return self._sha256

    @cached_property
    def rules(self) -> tuple[Field, ...]:
        """The entries of `fields`, and what the other parts write to the contact, in the same words.

        Their user "fields" are `typologies`, `consent.<name>` for a consent's property, and `communicable`.
        """
        made: list[Field] = []
        if self.typologies:
            blank = Blank.CLEAR if self.typologies.remove else Blank.KEEP
            made.append(_made(self.typologies, TYPOLOGIES, FieldType.SET, values=self.typologies.values, on_blank=blank))
        made += [
            _made(one, CONSENT + one.consent, FieldType.BOOL, contact=one.property, on_blank=Blank.CLEAR)
            for one in self.consents
            if one.property
        ]
        if self.communicable:
            made.append(_made(self.communicable, COMMUNICABLE, FieldType.BOOL, on_blank=Blank.CLEAR))
        return (*self.fields, *made)

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """Names of all contact properties the mapping reads or writes."""
        return tuple(dict.fromkeys(rule.contact for rule in self.rules))

    def field_by_user(self, name: str) -> Field | None:
        """The first entry of a user field."""
        return next((field for field in self.fields if field.user == name), None)

    @pydantic.field_validator("version", mode="before")
    @classmethod
    def _version_as_number(cls, value: Any) -> Any:
        return 1 if value == "1" else value

    @pydantic.model_validator(mode="after")
    def _resolve(self) -> Self:
        """Fill in the defaults, then look at the mapping as a whole."""
        object.__setattr__(self, "fields", tuple(self._with_defaults(field) for field in self.fields))
        refuse(checks.mapping(self))
        return self

    def _with_defaults(self, field: Field) -> Field:
        names = {"direction", "conflict", "on_blank"} - field.model_fields_set
        return field.model_copy(update={name: getattr(self.defaults, name) for name in names}) if names else field
