"""Records of events to take back whose id was never told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("removal") as removal:
        removal.alter_column("record_id", existing_type=sa.String(length=64), nullable=True)
        removal.add_column(sa.Column("key", sa.String(length=400), nullable=True))
        removal.create_unique_constraint("removal_key", ["sink", "provider", "key"])
