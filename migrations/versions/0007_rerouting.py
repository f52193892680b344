"""How far an incident's matters were routed by its size."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("incident", sa.Column("routed", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("incident", sa.Column("excess", sa.Boolean(), nullable=True))
    op.create_index(
        "ix_incident_many",
        "incident",
        ["id"],
        unique=False,
        postgresql_where=sa.text("(people_complaints > 1 OR harm) AND routed < 4"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_incident_many", table_name="incident", postgresql_where=sa.text("(people_complaints > 1 OR harm) AND routed < 4")
    )
    op.drop_column("incident", "excess")
    op.drop_column("incident", "routed")
