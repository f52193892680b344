"""platform states"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_KINDS = "'mediation', 'station', 'department', 'bureau'"


def upgrade() -> None:
    op.create_table(
        "platform_state",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("letter_id", sa.Uuid(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recovered_fen", sa.BigInteger(), nullable=True),
        sa.Column("fine_fen", sa.BigInteger(), nullable=True),
        sa.Column("confiscated_fen", sa.BigInteger(), nullable=True),
        sa.Column("handler", sa.Text(), nullable=True),
        sa.Column("columns_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("columns_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.SmallInteger(), nullable=True),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("authority IN ('platform', 'partner')", name=op.f("ck_platform_state_authority")),
        sa.ForeignKeyConstraint(["letter_id"], ["letter.id"], name=op.f("fk_platform_state_letter_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform_state")),
        sa.UniqueConstraint(
            "letter_id", "as_of", "columns_sha256", name=op.f("uq_platform_state_letter_id_as_of_columns_sha256")
        ),
        info={"app": "SELECT, INSERT"},
    )
    op.create_table(
        "reconciliation",
        sa.Column("letter_id", sa.Uuid(), nullable=False),
        sa.Column("matter_id", sa.Uuid(), nullable=True),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("verdict", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("ours", sa.Text(), nullable=True),
        sa.Column("theirs", sa.Text(), nullable=True),
        sa.Column("authority", sa.Text(), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held", sa.Text(), nullable=True),
        sa.Column("signed_by", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("held IN ('ours', 'platform')", name=op.f("ck_reconciliation_held")),
        sa.CheckConstraint(
            "verdict IN ('waiting', 'confirmed', 'behind', 'recorded', 'unplaced', 'unknown', 'contradiction')",
            name=op.f("ck_reconciliation_verdict"),
        ),
        sa.ForeignKeyConstraint(["letter_id"], ["letter.id"], name=op.f("fk_reconciliation_letter_id")),
        sa.ForeignKeyConstraint(["matter_id"], ["matter.id"], name=op.f("fk_reconciliation_matter_id")),
        sa.PrimaryKeyConstraint("letter_id", name=op.f("pk_reconciliation")),
        info={"app": "SELECT, INSERT, UPDATE"},
    )
    op.create_index(
        "ix_reconciliation_waiting",
        "reconciliation",
        ["letter_id"],
        unique=False,
        postgresql_where=sa.text("seen < told"),
    )
    op.create_index(
        "ix_reconciliation_open",
        "reconciliation",
        ["opened_at", "letter_id"],
        unique=False,
        postgresql_where=sa.text("verdict = 'contradiction' AND held_at IS NULL"),
    )
    op.add_column("organisation", sa.Column("aliases", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("organisation", sa.Column("operator", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_organisation_kind"), "organisation")
    op.create_check_constraint(op.f("ck_organisation_kind"), "organisation", f"kind IN ({_KINDS}, 'platform')")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_organisation_kind"), "organisation")
    op.execute("DELETE FROM organisation WHERE kind = 'platform'")
    op.create_check_constraint(op.f("ck_organisation_kind"), "organisation", f"kind IN ({_KINDS})")
    op.drop_column("organisation", "operator")
    op.drop_column("organisation", "aliases")
    op.drop_index("ix_reconciliation_open", table_name="reconciliation")
    op.drop_index("ix_reconciliation_waiting", table_name="reconciliation")
    op.drop_table("reconciliation")
    op.drop_table("platform_state")
