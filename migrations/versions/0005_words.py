"""An incident's words in one packed column."""

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As app.incidents packs them: how many terms and names; token, count and weight of each.
_WORDS = ">HH{0}q{0}h{0}f"
_BATCH = 1_000


def upgrade() -> None:
    op.add_column("incident", sa.Column("words", sa.LargeBinary(), nullable=True))
    for rows in _batches("id, terms, term_counts, term_weights, profile -> 'names' AS names"):
        _write("UPDATE incident SET words = :words, profile = profile - 'names' WHERE id = :id", [_packed(row) for row in rows])
    op.alter_column("incident", "words", nullable=False)
    for name in ("terms", "term_counts", "term_weights"):
        op.drop_column("incident", name)


def downgrade() -> None:
    for name, kind in (("terms", sa.BigInteger()), ("term_counts", sa.SmallInteger()), ("term_weights", sa.REAL())):
        op.add_column("incident", sa.Column(name, sa.ARRAY(kind), nullable=False, server_default="{}"))
        op.alter_column("incident", name, server_default=None)
    for rows in _batches("id, words"):
        _write(
            "UPDATE incident SET terms = :terms, term_counts = :counts, term_weights = :weights, "
            "profile = profile || jsonb_build_object('names', CAST(:names AS jsonb)) WHERE id = :id",
            [_unpacked(row) for row in rows],
        )
    op.drop_column("incident", "words")


def _batches(columns: str) -> Iterator[Sequence[Any]]:
    after = None
    query = sa.text(
        f"SELECT {columns} FROM incident WHERE CAST(:after AS uuid) IS NULL OR id > :after ORDER BY id LIMIT {_BATCH}"
    )
    while rows := op.get_bind().execute(query, {"after": after}).all():
        yield rows
        after = rows[-1].id


def _write(statement: str, values: list[dict[str, Any]]) -> None:
    op.get_bind().execute(sa.text(statement), values)


def _packed(row: Any) -> dict[str, Any]:
    names = row.names or {}
    words = [*row.terms, *map(int, names)]
    counts = [*row.term_counts, *(n for n, _ in names.values())]
    weights = [*row.term_weights, *(bits for _, bits in names.values())]
    return {
        "id": row.id,
        "words": struct.pack(_WORDS.format(len(words)), len(row.terms), len(names), *words, *counts, *weights),
    }


def _unpacked(row: Any) -> dict[str, Any]:
    terms, names = struct.unpack(">HH", row.words[:4])
    held = terms + names
    flat = struct.unpack(_WORDS.format(held), row.words)[2:]
    words, counts, weights = flat[:held], flat[held : 2 * held], flat[2 * held :]
    rest = {w: [n, round(bits, 2)] for w, n, bits in zip(words[terms:], counts[terms:], weights[terms:], strict=True)}
    return {
        "id": row.id, "terms": list(words[:terms]), "counts": list(counts[:terms]), "weights": list(weights[:terms]),
        "names": json.dumps(rest),
    }  # fmt: skip
