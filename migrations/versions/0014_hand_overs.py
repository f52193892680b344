"""hand-overs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_KIND = "kind IN ('odr', 'consumer_council', 'people_mediation', 'judicial_confirmation', 'enforcement', 'hotline_12345', 'department', 'public_interest')"


def upgrade() -> None:
    op.create_table(
        "partner",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("directory_key", sa.Text(), nullable=True),
        sa.Column("jurisdictions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(_KIND, name=op.f("ck_partner_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index(
        "uq_partner_directory", "partner", ["kind", "directory_key"], unique=True, postgresql_where=sa.text("disabled_at IS NULL")
    )
    op.create_table(
        "handover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("external_ref", sa.Text(), nullable=True),
        sa.Column("agreement_on", sa.Date(), nullable=True),
        sa.Column("recovered_fen", sa.BigInteger(), nullable=True),
        sa.Column("message_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.SmallInteger(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attention", sa.Text(), nullable=True),
        sa.CheckConstraint(_KIND, name=op.f("ck_handover_kind")),
        sa.CheckConstraint(
            "state IN ('sent', 'received', 'working', 'done', 'failed', 'returned', 'recalled')", name=op.f("ck_handover_state")
        ),
        sa.CheckConstraint("(closed_at IS NULL) = (state IN ('sent', 'received', 'working'))", name=op.f("ck_handover_closed")),
        sa.CheckConstraint("(kind = 'public_interest') = (incident_id IS NOT NULL)", name=op.f("ck_handover_incident")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_handover_incident_id")),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_handover_matter_id")),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name=op.f("fk_handover_partner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index("ix_handover_created_at", "handover", ["created_at", "id"], unique=False)
    op.create_index("ix_handover_matter_id", "handover", ["matter_id"], unique=False)
    op.create_index("ix_handover_partner_id", "handover", ["partner_id", "created_at", "id"], unique=False)
    op.create_index(
        "uq_handover_open", "handover", ["matter_id", "kind"], unique=True,
        postgresql_where=sa.text("closed_at IS NULL AND incident_id IS NULL"),
    )  # fmt: skip
    op.create_index(
        "uq_handover_open_incident", "handover", ["incident_id"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "handover_status",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("status_id", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("external_ref", sa.Text(), nullable=True),
        sa.Column("agreement_on", sa.Date(), nullable=True),
        sa.Column("recovered_fen", sa.BigInteger(), nullable=True),
        sa.Column("reason_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.SmallInteger(), nullable=True),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=True),
        sa.Column("state_after", sa.Text(), nullable=False),
        sa.CheckConstraint("authority IN ('bureau', 'partner')", name=op.f("ck_handover_status_authority")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_status_handover_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover_status")),
        sa.UniqueConstraint(
            "handover_id", "authority", "status_id", name=op.f("uq_handover_status_handover_id_authority_status_id")
        ),
        info={"app": "SELECT, INSERT"},
    )
    op.add_column("outbox", sa.Column("handover_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_outbox_handover_id"), "outbox", "handover", ["handover_id"], ["id"])
    op.create_index(
        "ix_outbox_handover_id", "outbox", ["handover_id"], unique=False, postgresql_where=sa.text("handover_id IS NOT NULL")
    )
    op.add_column("webhook", sa.Column("partner_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_webhook_partner_id"), "webhook", "partner", ["partner_id"], ["id"])
    op.create_index("uq_webhook_partner", "webhook", ["partner_id"], unique=True, postgresql_where=sa.text("disabled_at IS NULL"))
    op.add_column("api_token", sa.Column("partner_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f("fk_api_token_partner_id"), "api_token", "partner", ["partner_id"], ["id"])
    op.drop_constraint(op.f("ck_approval_kind"), "approval")
    op.create_check_constraint(op.f("ck_approval_kind"), "approval", "kind IN ('sign', 'sample', 'clock', 'partner')")


def downgrade() -> None:
    # Nobody would know any more whose they are.
    op.execute("UPDATE webhook SET disabled_at = coalesce(disabled_at, clock_timestamp()) WHERE partner_id IS NOT NULL")
    op.execute("UPDATE api_token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE partner_id IS NOT NULL")
    # What partners drafted has no kind of its own any more.
    op.execute("UPDATE approval SET kind = 'clock' WHERE kind = 'partner'")
    op.drop_constraint(op.f("ck_approval_kind"), "approval")
    op.create_check_constraint(op.f("ck_approval_kind"), "approval", "kind IN ('sign', 'sample', 'clock')")
    op.drop_constraint(op.f("fk_api_token_partner_id"), "api_token", type_="foreignkey")
    op.drop_column("api_token", "partner_id")
    op.drop_index("uq_webhook_partner", table_name="webhook", postgresql_where=sa.text("disabled_at IS NULL"))
    op.drop_constraint(op.f("fk_webhook_partner_id"), "webhook", type_="foreignkey")
    op.drop_column("webhook", "partner_id")
    op.drop_index("ix_outbox_handover_id", table_name="outbox", postgresql_where=sa.text("handover_id IS NOT NULL"))
    op.drop_constraint(op.f("fk_outbox_handover_id"), "outbox", type_="foreignkey")
    op.drop_column("outbox", "handover_id")
    op.drop_table("handover_status")
    op.drop_table("handover")
    op.drop_table("partner")
