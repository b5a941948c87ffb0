"""Indexes for what is asked again and again of a large base."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    leased = sa.text("lease_until is not null")
    op.create_index("link_lease", "link", ["lease_until"], sqlite_where=leased, postgresql_where=leased)
    of_run = sa.text("run is not null")
    op.drop_index("link_run", "link")
    op.create_index("link_run", "link", ["run", "due_at"], sqlite_where=of_run, postgresql_where=of_run)
    op.create_index("alias_link", "alias", ["link_id"])
    op.create_index("activity_noticed", "activity", ["noticed_at"])
