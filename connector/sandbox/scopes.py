"""The scopes a call may need. Of several in one tuple, any one is enough."""

Scopes = tuple[str, ...]

ACCOUNT: Scopes = ("oauth",)
READ: Scopes = ("crm.objects.contacts.read",)
WRITE: Scopes = ("crm.objects.contacts.write",)
SCHEMA_READ: Scopes = ("crm.schemas.contacts.read",)
SCHEMA_WRITE: Scopes = ("crm.schemas.contacts.write",)
SUBSCRIPTIONS_READ: Scopes = ("communication_preferences.read", "communication_preferences.read_write")
SUBSCRIPTIONS_WRITE: Scopes = ("communication_preferences.write", "communication_preferences.read_write")
BATCH_READ: Scopes = ("communication_preferences.statuses.batch.read",)
BATCH_WRITE: Scopes = ("communication_preferences.statuses.batch.write",)
CUSTOM_READ: Scopes = ("crm.objects.custom.read",)
CUSTOM_WRITE: Scopes = ("crm.objects.custom.write",)
CUSTOM_SCHEMA_READ: Scopes = ("crm.schemas.custom.read",)
CUSTOM_SCHEMA_WRITE: Scopes = ("crm.schemas.custom.write",)
EVENTS_SEND: Scopes = ("analytics.behavioral_events.send",)
EVENTS_DEFINE: Scopes = ("behavioral_events.event_definitions.read_write",)

SCOPES = (
    *ACCOUNT, *READ, *WRITE, *SCHEMA_READ, *SCHEMA_WRITE, "communication_preferences.read_write", *BATCH_READ, *BATCH_WRITE,
    *CUSTOM_READ, *CUSTOM_WRITE, *CUSTOM_SCHEMA_READ, *CUSTOM_SCHEMA_WRITE, *EVENTS_SEND, *EVENTS_DEFINE,
)  # fmt: skip
"""What a token may do unless told otherwise."""
