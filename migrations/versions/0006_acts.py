"""Legal acts and their signatures."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("persons", sa.SmallInteger(), nullable=False),
        sa.Column("signed_by", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('sign', 'sample', 'clock')", name=op.f("ck_approval_kind")),
        sa.CheckConstraint("state IN ('open', 'done', 'rejected', 'lapsed')", name=op.f("ck_approval_state")),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_approval_matter_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index("uq_approval_open", "approval", ["matter_id", "act"], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_index(
        "ix_approval_open", "approval", ["created_at", "id"], unique=False, postgresql_where=sa.text("state = 'open'")
    )
    op.add_column("matter", sa.Column("urged", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("matter", sa.Column("supervised", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("state_change", sa.Column("act", sa.Text(), nullable=True))
    op.add_column("state_change", sa.Column("ground", sa.Text(), nullable=True))
    op.add_column("state_change", sa.Column("signed_by", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    for column in ("signed_by", "ground", "act"):
        op.drop_column("state_change", column)
    op.drop_column("matter", "supervised")
    op.drop_column("matter", "urged")
    op.drop_index("ix_approval_open", table_name="approval", postgresql_where=sa.text("state = 'open'"))
    op.drop_index("uq_approval_open", table_name="approval", postgresql_where=sa.text("state = 'open'"))
    op.drop_table("approval")
