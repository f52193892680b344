"""who is asking: a call-back is given to one person at a time"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("callback", sa.Column("taken_by", sa.Text(), nullable=True))
    op.add_column("callback", sa.Column("taken_until", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_callback_taken"), "callback", "(taken_by IS NULL) = (taken_until IS NULL)")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_callback_taken"), "callback")
    for column in ("taken_until", "taken_by"):
        op.drop_column("callback", column)
