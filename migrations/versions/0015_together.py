"""An index of findings that tie people of one wording together by more than their words."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_finding_together ON finding (created_at) WHERE evidence ? 'together'")


def downgrade() -> None:
    op.execute("DROP INDEX ix_finding_together")
