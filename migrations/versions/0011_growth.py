"""How large an incident was when its matters were last routed by its size."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MANY = "(people_complaints > 1 OR harm) AND routed < 4"


def upgrade() -> None:
    op.add_column("incident", sa.Column("routed_people", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("incident", sa.Column("routed_districts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("incident", sa.Column("routed_harm", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("incident", sa.Column("districts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("incident", sa.Column("grown", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    # What was routed at a level is as routed for the people it has: only what comes now is growth.
    op.execute("UPDATE incident SET routed_people = people_complaints, routed_harm = routed = 4 WHERE routed > 0")
    op.drop_index("ix_incident_many", table_name="incident", postgresql_where=sa.text(_MANY))
    op.drop_column("incident", "routed")
    op.create_index("ix_incident_grown", "incident", ["id"], unique=False, postgresql_where=sa.text("grown"))


def downgrade() -> None:
    op.drop_index("ix_incident_grown", table_name="incident", postgresql_where=sa.text("grown"))
    op.add_column("incident", sa.Column("routed", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE incident SET routed = CASE WHEN routed_harm THEN 4 WHEN routed_people > 0 THEN 1 ELSE 0 END")
    op.create_index("ix_incident_many", "incident", ["id"], unique=False, postgresql_where=sa.text(_MANY))
    for column in ("grown", "districts", "routed_harm", "routed_districts", "routed_people"):
        op.drop_column("incident", column)
