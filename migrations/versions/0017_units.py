"""units of work: ready or leased; queues as data; recusals, absences"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    _queues()
    op.create_table(
        "ready",
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("queue_id", sa.Text(), nullable=False),
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("urgent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("excluded", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_ready")),
        info={"app": "SELECT, INSERT, UPDATE, DELETE"},
    )
    op.add_column("work_item", sa.Column("unit_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE work_item SET unit_id = id")
    op.alter_column("work_item", "unit_id", nullable=False)
    op.execute(
        "INSERT INTO ready (unit_id, queue_id, district, priority, urgent_at) "
        "SELECT id, queue_id, district, priority, urgent_at FROM work_item WHERE state = 'ready'"
    )
    op.drop_index("ix_work_item_pull", table_name="work_item")
    op.drop_index("ix_work_item_pull_district", table_name="work_item")
    op.drop_constraint(op.f("ck_work_item_state"), "work_item")
    for column in ("state", "skill", "claims"):
        op.drop_column("work_item", column)
    op.create_index(op.f("ix_work_item_unit_id"), "work_item", ["unit_id"])
    for name, district, last in (
        ("ix_ready_pull", False, False), ("ix_ready_pull_district", True, False),
        ("ix_ready_last", False, True), ("ix_ready_last_district", True, True),
    ):  # fmt: skip
        op.create_index(
            name, "ready", ["queue_id", *(["district"] if district else []), "urgent_at", "unit_id"],
            postgresql_where=sa.text("priority = 0") if last else None,
        )  # fmt: skip
    # Rows come and go with every claim: dead ones at the head of the pull index are what a claim steps over.
    for table in ("ready", "lease"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, "
            "autovacuum_vacuum_cost_delay = 0)"
        )
    op.drop_constraint(op.f("fk_lease_work_item_id"), "lease")
    op.alter_column("lease", "work_item_id", new_column_name="unit_id")
    op.add_column("lease", sa.Column("held_for", sa.Text(), nullable=True))
    op.add_column("lease", sa.Column("request_key", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_lease_held_for"), "lease", "held_for IN ('appraisal', 'appointment', 'reply', 'other')")
    op.add_column("work_event", sa.Column("token", sa.Uuid(), nullable=True))
    op.create_table(
        "recusal",
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_recusal_matter_id")),
        sa.PrimaryKeyConstraint("matter_id", "subject", name=op.f("pk_recusal")),
        info={"app": "SELECT, INSERT"},
    )
    op.create_table(
        "absence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deputy", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("until_at > from_at", name=op.f("ck_absence_span")),
        sa.CheckConstraint("deputy <> subject", name=op.f("ck_absence_deputy")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absence")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index("ix_absence_running", "absence", ["subject", "until_at"], postgresql_where=sa.text("ended_at IS NULL"))


def _queues() -> None:
    op.add_column("queue", sa.Column("track", sa.Text(), nullable=True))
    op.add_column("queue", sa.Column("district", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("queue", sa.Column("desk", sa.Text(), nullable=True))
    op.add_column("queue", sa.Column("skill", sa.Text(), nullable=True))
    for name in ("goods", "problems"):
        op.add_column("queue", sa.Column(name, sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column(
        "queue",
        sa.Column("roles", sa.ARRAY(sa.Text()), server_default=sa.text("'{mediator,supervisor}'"), nullable=False),
    )
    op.add_column("queue", sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.create_check_constraint(op.f("ck_queue_lane"), "queue", "lane IN ('complaint', 'report', 'any')")
    op.execute("UPDATE queue SET track = id")
    op.execute("UPDATE queue SET roles = '{intake,supervisor}' WHERE id = 'intake'")
    op.execute("UPDATE queue SET roles = '{intake,mediator,supervisor}' WHERE id IN ('clue', 'emergency')")


def downgrade() -> None:
    op.drop_table("absence")
    op.drop_table("recusal")
    op.drop_column("work_event", "token")
    op.drop_constraint(op.f("ck_lease_held_for"), "lease")
    op.drop_column("lease", "request_key")
    op.drop_column("lease", "held_for")
    op.alter_column("lease", "unit_id", new_column_name="work_item_id")
    # A joint unit, whose id is no item's, goes on as its first item; the others are ready again.
    op.execute(
        "UPDATE lease l SET work_item_id = w.id FROM (SELECT DISTINCT ON (unit_id) unit_id, id FROM work_item WHERE finished_at IS NULL "
        "ORDER BY unit_id, urgent_at, id) w WHERE w.unit_id = l.work_item_id AND w.id <> l.work_item_id"
    )
    op.execute(
        "DELETE FROM lease l WHERE NOT EXISTS (SELECT 1 FROM work_item w WHERE w.id = l.work_item_id AND w.finished_at IS NULL)"
    )
    op.create_foreign_key(op.f("fk_lease_work_item_id"), "lease", "work_item", ["work_item_id"], ["id"])
    op.execute(
        "ALTER TABLE lease RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)"
    )
    op.drop_index(op.f("ix_work_item_unit_id"), table_name="work_item")
    op.add_column("work_item", sa.Column("state", sa.Text(), nullable=True))
    op.add_column("work_item", sa.Column("skill", sa.Text(), nullable=True))
    op.add_column("work_item", sa.Column("claims", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.execute(
        "UPDATE work_item SET state = CASE WHEN finished_at IS NOT NULL THEN 'finished' "
        "WHEN EXISTS (SELECT 1 FROM lease l WHERE l.work_item_id = work_item.id) THEN 'leased' ELSE 'ready' END"
    )
    # A desk's own queue did not exist: its work goes to that of its track.
    op.execute(
        "UPDATE work_item w SET queue_id = coalesce(q.track, 'intake') FROM queue q WHERE q.id = w.queue_id AND q.track IS DISTINCT FROM q.id"
    )
    op.execute("DELETE FROM queue WHERE track IS DISTINCT FROM id")
    op.alter_column("work_item", "state", nullable=False)
    op.create_check_constraint(op.f("ck_work_item_state"), "work_item", "state IN ('ready', 'leased', 'finished')")
    op.drop_column("work_item", "unit_id")
    op.drop_table("ready")
    op.create_index(
        "ix_work_item_pull", "work_item", ["queue_id", "urgent_at", "id"], postgresql_where=sa.text("state = 'ready'")
    )
    op.create_index(
        "ix_work_item_pull_district", "work_item", ["queue_id", "district", "urgent_at", "id"],
        postgresql_where=sa.text("state = 'ready'"),
    )  # fmt: skip
    op.drop_constraint(op.f("ck_queue_lane"), "queue")
    for name in ("active", "roles", "problems", "goods", "skill", "desk", "district", "track"):
        op.drop_column("queue", name)
