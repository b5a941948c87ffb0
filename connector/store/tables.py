"""The tables. Times are seconds since 1970 (UTC) as doubles, JSON is ASCII text: both read the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
    true,
)

metadata = MetaData()
Key = BigInteger().with_variant(Integer, "sqlite")


LATEST = 253_402_300_799.0
"""The last second there is: as a double, a moment within it may be told as one after it."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime in Python, seconds since 1970 in the database."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        """Aware datetime to seconds."""
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:
        """Seconds to aware datetime; what somebody else put there and is no number is no time."""
        return datetime.fromtimestamp(min(value, LATEST), UTC) if isinstance(value, int | float) else None


class Words(TypeDecorator[str]):
    """Text of anybody's making: what no column can hold is replaced, what is too long is cut. Not for what must stay unique."""

    impl = String
    cache_ok = True

    def __init__(self, longest: int | None = None) -> None:
        super().__init__(longest)
        self.longest = longest

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Text both databases can store."""
        return None if value is None else storable(value)[: self.longest]


def storable(text: str) -> str:
    """Text without what PostgreSQL (NUL) or UTF-8 (lone surrogates) cannot hold; the same text when there is none of it."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Json(TypeDecorator[Any]):
    """JSON as ASCII text, so that any string a sender may use can be stored on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Compact JSON."""
        return None if value is None else json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """What was stored."""
        return None if value is None else json.loads(value)


inbox = Table(
    "inbox",
    metadata,
    Column("id", Key, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("key", String(300), nullable=False),
    Column("sender_id", Words(300), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("meta", Json, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", Words),
    Column("received_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("record", Words(300)),
    UniqueConstraint("source", "key"),
    Index("inbox_record", "source", "record"),
    Index("inbox_due", "due_at", sqlite_where=text("due_at is not null"), postgresql_where=text("due_at is not null")),
    Index("inbox_received", "received_at"),
)

link = Table(
    "link",
    metadata,
    Column("id", Key, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("user_id", String(300)),
    Column("contact_id", String(64)),
    Column("state", String(12), nullable=False),
    Column("reason", Words),
    Column("email", Words(320)),
    Column("base", Json, nullable=False),
    Column("echo", Json, nullable=False),
    Column("user", Json),
    Column("user_updated_at", Moment),
    Column("contact", Json),
    Column("contact_updated_at", Moment),
    Column("held", Json, nullable=False),
    Column("held_fields", Integer, nullable=False, server_default="0"),
    Column("drift", Json, nullable=False),
    Column("drift_fields", Integer, nullable=False, server_default="0"),
    Column("user_gone", Boolean, nullable=False),
    Column("gone_since", Moment),
    Column("refetch", Boolean, nullable=False),
    Column("erasure", Boolean, nullable=False, server_default=false()),
    Column("reread", Boolean, nullable=False, server_default=true()),
    Column("recheck", Boolean, nullable=False, server_default=true()),
    Column("consents", Json, nullable=False, server_default="{}"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failed_since", Moment),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("intent", Json, nullable=False),
    Column("lone", Boolean, nullable=False),
    Column("due_at", Moment),
    Column("rung", Integer, nullable=False, server_default="0"),
    Column("lease_until", Moment),
    Column("lease_owner", String(120)),
    Column("token", Integer, nullable=False, server_default="0"),
    Column("run", Key),
    Column("cause", Words(300)),
    Column("created_at", Moment, nullable=False),
    Column("settled_at", Moment),
    Column("user_seen_at", Moment),
    Column("contact_seen_at", Moment),
    UniqueConstraint("provider", "user_id"),
    Index(
        "link_active_contact",
        "provider",
        "contact_id",
        unique=True,
        sqlite_where=text("state = 'active'"),
        postgresql_where=text("state = 'active'"),
    ),
    Index("link_contact", "contact_id"),
    Index("link_email", "email"),
    Index("link_due", "due_at", sqlite_where=text("due_at is not null"), postgresql_where=text("due_at is not null")),
    Index("link_run", "run", "due_at", sqlite_where=text("run is not null"), postgresql_where=text("run is not null")),
    Index(
        "link_lease",
        "lease_until",
        sqlite_where=text("lease_until is not null"),
        postgresql_where=text("lease_until is not null"),
    ),
)

alias = Table(
    "alias",
    metadata,
    Column("id", Key, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("former_id", String(300), nullable=False),
    Column("link_id", Key, ForeignKey("link.id", ondelete="CASCADE"), nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("provider", "former_id", "link_id"),
    Index("alias_former", "former_id"),
    Index("alias_link", "link_id"),
)

history = Table(
    "history",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("link_id", Key, ForeignKey("link.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("delivery", Words(300)),
    Column("run", Key),
    Column("mapping", String(64)),
    Column("changes", Json, nullable=False),
    Column("request", Words),
    Column("answer", Words),
    Column("clears", Boolean, nullable=False, server_default=false()),
    Index("history_link", "link_id", "id"),
    Index(
        "history_run",
        "run",
        "kind",
        "link_id",
        sqlite_where=text("run is not null"),
        postgresql_where=text("run is not null"),
    ),
    Index("history_kind", "kind", "at"),
    Index("history_clears", "run", "at", "link_id", sqlite_where=text("clears = 1"), postgresql_where=text("clears")),
)

activity = Table(
    "activity",
    metadata,
    Column("id", Key, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("event_id", String(300), nullable=False),
    Column("sink", String(64), nullable=False),
    Column("key", String(400)),
    Column("user_id", String(300), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("entry_point", Words(300)),
    Column("details", Json, nullable=False),
    Column("state", String(12), nullable=False),
    Column("due_at", Moment),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", Words),
    Column("record_id", String(64)),
    Column("noticed_at", Moment, nullable=False),
    UniqueConstraint("provider", "event_id", "sink"),
    Index(
        "activity_due",
        "sink",
        "occurred_at",
        "id",
        sqlite_where=text("due_at is not null"),
        postgresql_where=text("due_at is not null"),
    ),
    Index("activity_key", "sink", "key", unique=True),
    Index("activity_user", "provider", "user_id"),
    Index("activity_state", "state"),
    Index("activity_noticed", "noticed_at"),
)

removal = Table(
    "removal",
    metadata,
    Column("id", Key, primary_key=True),
    Column("sink", String(64), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("record_id", String(64)),
    Column("key", String(400)),
    Column("since", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", Words),
    UniqueConstraint("sink", "provider", "record_id"),
    UniqueConstraint("sink", "provider", "key", name="removal_key"),
    Index("removal_due", "sink", "due_at"),
)

consent = Table(
    "consent",
    metadata,
    Column("id", Key, primary_key=True),
    Column("link_id", Key),
    Column("provider", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("purpose", Words(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("occurred_at", Moment),
    Column("learnt_at", Moment, nullable=False),
    Column("source", Words),
    Column("entry_point", Words(300)),
    Column("legal_basis", String(64)),
    Column("text_version", Words),
    Column("delivery", Words(300)),
    Column("digest", String(64), nullable=False),
    Column("chain", String(64), nullable=False),
    Column("erased", String(64)),
    Index("consent_link", "link_id", "purpose", "id"),
    Index("consent_subject", "subject"),
)

parked = Table(
    "parked",
    metadata,
    Column("id", Key, primary_key=True),
    Column("link_id", Key, ForeignKey("link.id", ondelete="CASCADE"), nullable=False),
    Column("what", Words(200), nullable=False),
    Column("value", Json),
    Column("reason", Words, nullable=False),
    Column("since", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    UniqueConstraint("link_id", "what"),
)

run = Table(
    "run",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("provider", String(64)),
    Column("state", String(12), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("summary", Json, nullable=False),
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

tombstone = Table(
    "tombstone",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("at", Moment, nullable=False),
)
