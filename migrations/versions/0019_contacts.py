"""contacts and appointments"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "appointment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("mediator", sa.Text(), nullable=False),
        sa.Column("participants", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'planned'"), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_by", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("excused", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("moved_from", sa.Uuid(), nullable=True),
        sa.CheckConstraint("form IN ('on_site', 'online', 'call', 'audio', 'video')", name=op.f("ck_appointment_form")),
        sa.CheckConstraint("state IN ('planned', 'held', 'missed', 'cancelled', 'moved')", name=op.f("ck_appointment_state")),
        sa.CheckConstraint("minutes BETWEEN 5 AND 600", name=op.f("ck_appointment_minutes")),
        sa.CheckConstraint("(state = 'planned') = (decided_at IS NULL)", name=op.f("ck_appointment_decided")),
        sa.CheckConstraint("(state = 'missed') = (missed_by IS NOT NULL)", name=op.f("ck_appointment_missed")),
        sa.CheckConstraint("(missed_by IS NULL) = (excused IS NULL)", name=op.f("ck_appointment_excused")),
        sa.CheckConstraint(
            "participants <@ ARRAY['consumer', 'merchant'] AND participants <> '{}'", name=op.f("ck_appointment_participants")
        ),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_appointment_matter_id")),
        sa.ForeignKeyConstraint(["moved_from"], ["appointment.id"], name=op.f("fk_appointment_moved_from")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
        sa.UniqueConstraint("matter_id", "key", name=op.f("uq_appointment_matter_id_key")),
        sa.UniqueConstraint("moved_from", name=op.f("uq_appointment_moved_from")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index("ix_appointment_mediator_at", "appointment", ["mediator", "at"], unique=False)
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("way", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.Column("consent_to", sa.Text(), nullable=True),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("gates", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("strikes", sa.Uuid(), nullable=True),
        sa.CheckConstraint("party IN ('consumer', 'merchant', 'agent', 'other')", name=op.f("ck_contact_party")),
        sa.CheckConstraint("consent_to IN ('settlement', 'delegation', 'mediation')", name=op.f("ck_contact_consent_to")),
        sa.CheckConstraint("(consent_to IS NULL) = (agrees IS NULL)", name=op.f("ck_contact_consent")),
        sa.CheckConstraint(
            "CASE WHEN strikes IS NULL THEN party IS NOT NULL AND way IS NOT NULL AND result IS NOT NULL "
            "ELSE coalesce(party, way, result, consent_to, appointment_id::text) IS NULL AND note IS NOT NULL END",
            name=op.f("ck_contact_strikes"),
        ),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name=op.f("fk_contact_appointment_id")),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_contact_matter_id")),
        sa.ForeignKeyConstraint(["strikes"], ["contact.id"], name=op.f("fk_contact_strikes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("matter_id", "key", name=op.f("uq_contact_matter_id_key")),
        sa.UniqueConstraint("strikes", name=op.f("uq_contact_strikes")),
        info={"app": "SELECT, INSERT"},
    )
    op.create_index(
        "ix_contact_appointment_id", "contact", ["appointment_id"], unique=False,
        postgresql_where=sa.text("appointment_id IS NOT NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("contact")
    op.drop_table("appointment")
