"""a city's part of a queue is one stretch of an index"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for name, last in (("ix_ready_pull_city", False), ("ix_ready_last_city", True)):
        op.create_index(
            name, "ready", ["queue_id", sa.text('"left"(district, 4)'), "urgent_at", "unit_id"],
            postgresql_where=sa.text("priority = 0") if last else None,
        )  # fmt: skip


def downgrade() -> None:
    for name in ("ix_ready_last_city", "ix_ready_pull_city"):
        op.drop_index(name, table_name="ready")
