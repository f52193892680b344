"""call-backs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_KINDS = "'sign', 'sample', 'clock', 'partner'"


def upgrade() -> None:
    op.create_table(
        "callback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("settled_by", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("due_from", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("satisfied", sa.Text(), nullable=True),
        sa.Column("performed", sa.Text(), nullable=True),
        sa.Column("wants_reopening", sa.Boolean(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approval_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("cause IN ('ended', 'repeat')", name=op.f("ck_callback_cause")),
        sa.CheckConstraint("state IN ('open', 'done', 'unreachable', 'lapsed')", name=op.f("ck_callback_state")),
        sa.CheckConstraint("satisfied IN ('very', 'yes', 'neutral', 'no')", name=op.f("ck_callback_satisfied")),
        sa.CheckConstraint("performed IN ('yes', 'partly', 'no', 'not_due')", name=op.f("ck_callback_performed")),
        sa.CheckConstraint("(state = 'done') = (satisfied IS NOT NULL)", name=op.f("ck_callback_done")),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name=op.f("ck_callback_closed")),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_callback_matter_id")),
        sa.ForeignKeyConstraint(["approval_id"], ["approval.id"], name=op.f("fk_callback_approval_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index(op.f("ix_callback_matter_id"), "callback", ["matter_id"], unique=False)
    op.create_index("uq_callback_open", "callback", ["matter_id"], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_index("ix_callback_state", "callback", ["state", "due_at", "id"], unique=False)
    op.create_index("ix_callback_opened_at", "callback", ["opened_at"], unique=False)
    op.drop_constraint(op.f("ck_approval_kind"), "approval")
    op.create_check_constraint(op.f("ck_approval_kind"), "approval", f"kind IN ({_KINDS}, 'review')")


def downgrade() -> None:
    op.drop_table("callback")
    op.drop_constraint(op.f("ck_approval_kind"), "approval")
    op.execute("DELETE FROM approval WHERE kind = 'review'")
    op.create_check_constraint(op.f("ck_approval_kind"), "approval", f"kind IN ({_KINDS})")
