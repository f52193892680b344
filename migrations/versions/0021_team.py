"""the team view: what is open by its term; alarms of starving queues"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "queue_alarm",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("queue_id", sa.Text(), nullable=False),
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('unclaimed', 'waiting')", name=op.f("ck_queue_alarm_kind")),
        sa.ForeignKeyConstraint(["queue_id"], ["queue.id"], name=op.f("fk_queue_alarm_queue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_alarm")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index(
        "uq_queue_alarm_open",
        "queue_alarm",
        ["queue_id", "district", "kind"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("ix_queue_alarm_opened_at", "queue_alarm", ["opened_at", "id"])
    op.create_index(
        "ix_work_item_open", "work_item", ["due_at", "id"], postgresql_include=["queue_id", "district", "unit_id", "enqueued_at"],
        postgresql_where=sa.text("finished_at IS NULL"),
    )  # fmt: skip
    op.create_index(
        "ix_work_item_flagged", "work_item", ["id"], postgresql_where=sa.text("finished_at IS NULL AND flags <> '{}'")
    )
    op.create_index(op.f("ix_work_event_at"), "work_event", ["at"])
    op.create_index(
        "ix_matter_pressed", "matter", ["id"], postgresql_where=sa.text("closed_at IS NULL AND (urged > 0 OR supervised > 0)")
    )


def downgrade() -> None:
    op.drop_index("ix_matter_pressed", table_name="matter")
    op.drop_index(op.f("ix_work_event_at"), table_name="work_event")
    op.drop_index("ix_work_item_flagged", table_name="work_item")
    op.drop_index("ix_work_item_open", table_name="work_item")
    op.drop_table("queue_alarm")
