"""Clocks that pause, are extended and are reckoned anew."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "clock_event",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("clock_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("act IN ('pause', 'resume', 'extend', 'recompute')", name=op.f("ck_clock_event_act")),
        sa.ForeignKeyConstraint(["clock_id"], ["clock.id"], name=op.f("fk_clock_event_clock_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_event")),
        info={"app": "SELECT, INSERT"},
    )
    op.create_index(op.f("ix_clock_event_clock_id"), "clock_event", ["clock_id"])
    op.add_column("clock", sa.Column("received_on", sa.Date(), nullable=True))
    # The mode was a setting alone; a clock's other_modes name those that were not its own.
    op.add_column("clock", sa.Column("mode", sa.Text(), nullable=True))
    op.add_column("clock", sa.Column("bounded", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("clock", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("clock", sa.Column("paused_days", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("clock", sa.Column("extended", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.execute(
        "UPDATE clock SET mode = CASE WHEN NOT other_modes ? 'statutory' THEN 'statutory' WHEN other_modes ? 'any' THEN 'notice' ELSE 'any' END, "
        "received_on = (m.received_at AT TIME ZONE 'Asia/Shanghai')::date "
        "FROM matter m WHERE m.id = clock.matter_id"
    )
    op.alter_column("clock", "received_on", nullable=False)
    op.alter_column("clock", "mode", nullable=False)
    op.add_column("calendar_day", sa.Column("notice", sa.Integer(), nullable=True))
    op.execute("UPDATE calendar_day SET notice = extract(year FROM day)::int")
    op.alter_column("calendar_day", "notice", nullable=False)


def downgrade() -> None:
    op.drop_column("calendar_day", "notice")
    for name in ("extended", "paused_days", "paused_at", "bounded", "mode", "received_on"):
        op.drop_column("clock", name)
    op.drop_index(op.f("ix_clock_event_clock_id"), table_name="clock_event")
    op.drop_table("clock_event")
