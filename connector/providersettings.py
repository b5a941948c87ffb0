"""What an operator configures of one identity provider. Which keys belong to which kind is in `settingwords.KINDS`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from connector import plugins
from connector import settingwords as words
from connector.settingtypes import Address, Header, Seconds, Section, SentToken, Text, Tokens, resolved
from connector.yamlwords import MISSING, Finding, refuse

AVAILABLE = (*words.KINDS, *(kind for kind in plugins.found() if kind not in words.KINDS))
"""Kinds of provider that this installation can run: the shipped ones, and those that other packages bring along."""


def _known_kind(kind: str) -> str:
    return words.provider_kind(kind, [*words.KINDS, *plugins.found()])


class Signature(Section):
    """How a provider signs its webhooks. The defaults are those of Standard Webhooks."""

    header: Header = Field("webhook-signature", description="Header with the signature.")
    id_header: Header = Field("webhook-id", description="Header with the id of the delivery.")
    timestamp_header: Header = Field("webhook-timestamp", description="Header with the time of sending, in seconds since 1970.")
    signed: Literal["body", "timestamp.body", "id.timestamp.body"] = Field("id.timestamp.body", description="What is signed.")
    digest: Literal["sha256", "sha512", "sha1"] = Field("sha256", description="Hash function of the HMAC.")
    encoding: Literal["base64", "hex"] = Field("base64", description="How the signature is written.")
    prefix: str = Field("v1,", description="What stands before the signature.")
    key: Literal["whsec", "utf8", "hex", "base64"] = Field("whsec", description="How webhook_secret becomes the key.")
    tolerance: Seconds = Field(300, description="Seconds a delivery may be older or newer than now.")


class ConsentField(Section):
    """Which fields of the provider's own hold a consent. Values are compared as text, without regard to case."""

    field: Text = Field(description="The field that says whether it is granted.")
    at: Text | None = Field(None, description="The field with the time of the decision, if there is one.")
    source: Text | None = Field(None, description="The field with where it was taken, if there is one.")
    granted: Text = Field("true", description="What `field` holds when granted.")
    revoked: Text = Field("false", description="What `field` holds when withdrawn; anything else says nothing.")


def _field_alone(value: Any) -> Any:
    """A name stands for a field without companions."""
    return {"field": value} if isinstance(value, str) else value


ConsentFields = dict[
    str,
    Annotated[
        ConsentField,
        BeforeValidator(_field_alone),
        WithJsonSchema({"anyOf": [{"type": "string"}, ConsentField.model_json_schema()]}),
    ],
]


class ProviderSettings(Section):
    """One identity provider."""

    kind: Annotated[Text, AfterValidator(_known_kind)] = Field(
        description="Which system it is.", json_schema_extra={"enum": list(AVAILABLE)}
    )
    mapping: Annotated[Path, AfterValidator(resolved)] = Field(description="The mapping file, relative to this one.")
    webhook_secret: Tokens = Field((), description="Signs the webhooks; a list while rotating.")
    api_url: Address | None = Field(None, description="Where its API is. Without one it is only listened to.")
    api_key: SentToken | None = Field(None, description="Sent as a bearer token.")
    signature: Signature = Field(default_factory=Signature, description="How webhooks are signed.")
    webhook_auth: Literal["hmac", "header", "basic", "url"] = Field(
        "hmac",
        description="What proves that a delivery is the provider's: a signature; webhook_secret in a header "
        "(signature.header, `authorization` by default, behind signature.prefix), as user:password of HTTP Basic, "
        "or as `token` in the URL.",
    )
    trust: Literal["auto", "full", "hint"] = Field(
        "auto",
        description="What a delivery is worth: full, its fields are taken; hint, it only says whom to look at; "
        "auto, full where the body is signed.",
    )
    auth_url: Address | None = Field(None, description="Where it gives out access tokens.")
    client_id: Text | None = Field(None, description="Who asks for an access token.")
    client_secret: SentToken | None = Field(None, description="Proves who asks for an access token.")
    entry_point: Text | None = Field(None, description="Id of the entry point that calls are made for.")
    events: dict[str, Text] = Field(default_factory=dict, description="The provider's name of an event -> our kind.")
    active_statuses: tuple[Text, ...] = Field(("active",), description="Its words for a membership that is in force.")
    event_path: Text | None = Field(None, description="JSON pointer to the event's name in a delivery.")
    user_id_path: Text | None = Field(None, description="JSON pointer to the user's id in a delivery.")
    occurred_at_path: Text | None = Field(None, description="JSON pointer to an event's time in a delivery.")
    patch_path: Text | None = Field(None, description="Path of its call that edits one user; without it edits go in bulk.")
    pending_email_path: Text | None = Field(None, description="JSON pointer to a user's address that is not confirmed yet.")
    consent_at_path: Text | None = Field(None, description="JSON pointer to the time of a decision, within a consent.")
    date_format: Text = Field("%Y-%m-%d", description="How it writes dates, as strftime has it.")
    allow_delete: bool = Field(False, description="Whether it lets us delete users.")
    write_typologies: bool = Field(False, description="Whether it takes a user's typologies in an edit.")
    donotlog: bool = Field(True, description="Whether what we write stays out of its activity log, and so of its webhooks.")
    update_sends: Literal["whole", "changed"] = Field("whole", description="What an edit sends: all fields, or the changed ones.")
    paging: Literal["pages", "rows"] = Field("pages", description="What the offset of a listing counts.")
    double_opt_in: Literal["ask", "yes", "no"] = Field(
        "ask", description="Whether joining an email list waits for the person to confirm: as each list says, always, or never."
    )
    shop: Text | None = Field(None, description="The shop: NAME.myshopify.com.")
    api_version: Text | None = Field(None, description="Version of its API.")
    fields: dict[str, Text] = Field(default_factory=dict, description="Our name of a user's field -> the provider's own field.")
    consents: ConsentFields = Field(default_factory=dict, description="Consent -> the provider's own field that holds it.")
    blank: Literal["empty", "null"] = Field("empty", description="What empties a field of its own: a blank text, or null.")
    listing: Literal["paged", "bulk"] = Field("paged", description="How all users are listed: by pages, or by a bulk operation.")
    companies: bool = Field(False, description="Whether memberships of companies are read.")
    subjects: bool = Field(False, description="Whether the ids that its users have at identity providers are read.")
    opt_in_level: Literal["SINGLE_OPT_IN", "CONFIRMED_OPT_IN", "UNKNOWN"] = Field(
        "SINGLE_OPT_IN", description="How a consent that we write was given."
    )
    domain: Text | None = Field(None, description="The tenant's domain.")
    audience: Text | None = Field(None, description="What an access token is for; the API itself by default.")
    connection: Text | None = Field(None, description="The database that users are created in.")
    realm: Text | None = Field(None, description="The realm.")
    memberships: tuple[Text, ...] = Field((), description="Where the provider keeps memberships; see docs/providers.")
    inactive: Literal["deleted", "keep"] = Field(
        "deleted", description="What a user who is switched off counts as: deleted, or a user like any other."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of a kind that another package brings along.")

    @classmethod
    def keys_for(cls, data: Mapping[str, Any]) -> Sequence[str]:
        """The keys that a provider of this kind takes; for messages."""
        kind = str(data.get("kind"))
        known = kind in words.KINDS or kind in plugins.found()
        return words.COMMON + words.kind_of(kind).keys if known else tuple(cls.model_fields)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        refuse(list(self._findings()))
        return self

    def _findings(self) -> Iterator[Finding]:
        kind = words.kind_of(self.kind)
        allowed = words.COMMON + kind.keys
        for key in self.model_fields_set.difference(allowed):
            yield Finding((key,), f"not a key of kind {self.kind}; allowed: {', '.join(allowed)}", on_key=True)
        with_key = self.api_url and "api_key" in kind.keys and kind is not words.PLUGIN
        needed = kind.required + (("api_key",) if with_key else ())
        for key in dict.fromkeys(needed):
            if not getattr(self, key):
                yield Finding((key,), MISSING)
        yield from self._unsendable()
        if self.webhook_auth == "basic":
            for index, secret in enumerate(self.webhook_secret):
                if ":" not in secret.get_secret_value():
                    yield Finding(("webhook_secret", index), "expected user:password, as webhook_auth: basic says")
        if kind.chosen_secret and self.webhook_auth == "hmac":
            for index, secret in enumerate(self.webhook_secret):
                if problem := words.signing_key(secret.get_secret_value(), self.signature.key):
                    yield Finding(("webhook_secret", index), problem)

    def _unsendable(self) -> Iterator[Finding]:
        """Auth0 signs nothing where nothing else is configured: what it sends in a header is the secret itself."""
        if self.kind == "auth0" and (self.webhook_auth == "header" or "webhook_auth" not in self.model_fields_set):
            for index, secret in enumerate(self.webhook_secret):
                try:
                    words.sendable(secret)
                except ValueError as error:
                    yield Finding(("webhook_secret", index), str(error))
