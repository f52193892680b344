"""Policies are drafted, back-tested and published: a version is its content, from when it holds is an act."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "policy_act",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("policy_hash", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("act IN ('proposed', 'backtested', 'published')", name=op.f("ck_policy_act_act")),
        sa.CheckConstraint("act <> 'published' OR valid_from IS NOT NULL", name=op.f("ck_policy_act_valid_from")),
        sa.ForeignKeyConstraint(["policy_hash"], ["policy.hash"], name=op.f("fk_policy_act_policy_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_act")),
    )
    op.create_index("ix_policy_act_policy_hash", "policy_act", ["policy_hash", "id"])
    op.create_index("ix_policy_act_published", "policy_act", ["valid_from", "id"], postgresql_where=sa.text("act = 'published'"))
    op.execute(
        "INSERT INTO policy_act (policy_hash, act, actor, at, valid_from) "
        "SELECT hash, 'published', published_by, published_at, valid_from FROM policy ORDER BY published_at, hash"
    )
    op.alter_column("policy", "published_by", new_column_name="author")
    op.alter_column("policy", "published_at", new_column_name="created_at")
    op.drop_column("policy", "valid_from")


def downgrade() -> None:
    if op.get_bind().scalar(
        sa.text("SELECT count(*) FROM decision d JOIN policy p ON p.hash = d.policy_hash WHERE p.content ? 'format'")
    ):
        raise RuntimeError("decisions rest on versions that the program of before can't read")
    op.add_column("policy", sa.Column("valid_from", sa.Date(), nullable=True))
    op.execute(
        "UPDATE policy p SET valid_from = a.valid_from FROM (SELECT policy_hash, max(valid_from) AS valid_from FROM policy_act "
        "WHERE act = 'published' GROUP BY policy_hash) a WHERE a.policy_hash = p.hash"
    )
    op.drop_index("ix_policy_act_published", table_name="policy_act")
    op.drop_index("ix_policy_act_policy_hash", table_name="policy_act")
    op.drop_table("policy_act")
    op.execute("DELETE FROM policy WHERE content ? 'format'")
    op.alter_column("policy", "valid_from", nullable=False)
    op.alter_column("policy", "created_at", new_column_name="published_at")
    op.alter_column("policy", "author", new_column_name="published_by")
