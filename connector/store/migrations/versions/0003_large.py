"""Indexes for what is asked again and again of a large base, and which entries of the history blanked something."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

WRITTEN = ("contact.update", "user.update", "user.membership")


def upgrade() -> None:
    leased = sa.text("lease_until is not null")
    op.create_index("link_lease", "link", ["lease_until"], sqlite_where=leased, postgresql_where=leased)
    op.create_index("alias_link", "alias", ["link_id"])
    op.create_index("activity_noticed", "activity", ["noticed_at"])
    of_run = sa.text("run is not null")
    op.drop_index("link_run", "link")
    op.create_index("link_run", "link", ["run", "due_at"], sqlite_where=of_run, postgresql_where=of_run)
    op.drop_index("history_run", "history")
    op.create_index("history_run", "history", ["run", "kind", "link_id"], sqlite_where=of_run, postgresql_where=of_run)
    _clears()


def _clears() -> None:
    """Where a blank became a blank that counts, too: no brake lets more through for it."""
    op.add_column("history", sa.Column("clears", sa.Boolean(), server_default=sa.false(), nullable=False))
    history = sa.table("history", sa.column("kind"), sa.column("changes", sa.Text()), sa.column("clears", sa.Boolean()))
    blanks = history.c.kind.in_(WRITTEN) & history.c.changes.contains('"to":null')
    op.execute(history.update().where(blanks).values(clears=True))
    columns = ["run", "at", "link_id"]
    op.create_index("history_clears", "history", columns, sqlite_where=sa.text("clears = 1"), postgresql_where=sa.text("clears"))
