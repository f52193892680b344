"""Settled cases by what they are found by."""

from alembic import op

revision = "0018"
down_revision: str | None = "0017"
branch_labels = None
depends_on = None

_SETTLED = "closed_at IS NOT NULL AND outcome IS NOT NULL AND copy_of IS NULL"
_KEYS = {"merchant": "merchant_id", "product": "product_token", "class": "goods, problem", "issue": "(issues[1])"}


def upgrade() -> None:
    for name, key in _KEYS.items():
        op.execute(f"CREATE INDEX ix_matter_settled_{name} ON matter ({key}, closed_at) WHERE {_SETTLED}")


def downgrade() -> None:
    for name in _KEYS:
        op.execute(f"DROP INDEX ix_matter_settled_{name}")
