"""Consents, identity events to hand on and to take back, and whose delivery a row of the inbox was."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DUE = "due_at is not null"


def upgrade() -> None:
    with op.batch_alter_table("inbox") as inbox:
        inbox.add_column(sa.Column("record", sa.String(length=300), nullable=True))
        inbox.create_index("inbox_record", ["source", "record"])
    with op.batch_alter_table("link") as link:
        link.add_column(sa.Column("erasure", sa.Boolean(), server_default=sa.false(), nullable=False))
        link.add_column(sa.Column("reread", sa.Boolean(), server_default=sa.true(), nullable=False))
        link.add_column(sa.Column("recheck", sa.Boolean(), server_default=sa.true(), nullable=False))
        link.add_column(sa.Column("consents", sa.Text(), server_default="{}", nullable=False))
        link.add_column(sa.Column("user_seen_at", sa.Double(), nullable=True))
        link.add_column(sa.Column("contact_seen_at", sa.Double(), nullable=True))
    op.drop_table("activity")  # neither of the two was ever written to
    op.drop_table("consent")
    _activity()
    _removal()
    _consent()


def _activity() -> None:
    op.create_table(
        "activity",
        sa.Column("id", KEY, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=300), nullable=False),
        sa.Column("sink", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=True),
        sa.Column("user_id", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("occurred_at", sa.Double(), nullable=False),
        sa.Column("entry_point", sa.String(length=300), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("record_id", sa.String(length=64), nullable=True),
        sa.Column("noticed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("provider", "event_id", "sink"),
    )
    due = sa.text(DUE)
    op.create_index("activity_due", "activity", ["sink", "occurred_at", "id"], sqlite_where=due, postgresql_where=due)
    op.create_index("activity_key", "activity", ["sink", "key"], unique=True)
    op.create_index("activity_user", "activity", ["provider", "user_id"])
    op.create_index("activity_state", "activity", ["state"])


def _removal() -> None:
    op.create_table(
        "removal",
        sa.Column("id", KEY, nullable=False),
        sa.Column("sink", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("record_id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sink", "provider", "record_id"),
    )
    op.create_index("removal_due", "removal", ["sink", "due_at"])


def _consent() -> None:
    op.create_table(
        "consent",
        sa.Column("id", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", sa.Double(), nullable=True),
        sa.Column("learnt_at", sa.Double(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("entry_point", sa.String(length=300), nullable=True),
        sa.Column("legal_basis", sa.String(length=64), nullable=True),
        sa.Column("text_version", sa.String(), nullable=True),
        sa.Column("delivery", sa.String(length=300), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("erased", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("consent_link", "consent", ["link_id", "purpose", "id"])
    op.create_index("consent_subject", "consent", ["subject"])
