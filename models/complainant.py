"""People as the service knows them: keyed tokens of records, and clusters of records that live and die."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from models.base import APPEND, FREE, KEEP, document, instant, metadata, uid

complainant = Table(
    "complainant",
    metadata,
    uid(),
    # The union of its records' comparison tokens: what a new record is compared with.
    Column("tokens", ARRAY(BigInteger), nullable=False),
    Column("records", Integer, nullable=False),
    Column("merged_into", Uuid, ForeignKey("complainant.id")),
    # Of its complaints' events: a contact alone does not join across years.
    instant("first_at", nullable=True),
    instant("last_at", nullable=True),
    # A person said: these belong together and nothing automatic moves them or merges them away.
    Column("pinned_by", Text),
    instant("pinned_at", nullable=True),
    instant("created_at", now=True),
    info=KEEP,
)

complainant_record = Table(
    "complainant_record",
    metadata,
    uid(),
    Column("letter_id", Uuid, ForeignKey("letter.id"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("tokens", ARRAY(BigInteger), nullable=False),
    Column("token_version", SmallInteger, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    # Tokens its complainant did not hold before, until the worker has counted them in token_frequency.
    Column("uncounted", ARRAY(BigInteger)),
    Index("ix_complainant_record_uncounted", "id", postgresql_where=text("uncounted IS NOT NULL")),
    info=KEEP,
)

# The only indexed tokens: blocking keys, at most 12 a record.
complainant_key = Table(
    "complainant_key",
    metadata,
    Column("token", BigInteger, primary_key=True),
    Column("complainant_id", Uuid, ForeignKey("complainant.id"), primary_key=True),
    Column("token_version", SmallInteger, nullable=False),
    info=FREE,
)

complainant_membership = Table(
    "complainant_membership",
    metadata,
    uid(),
    Column("record_id", Uuid, ForeignKey("complainant_record.id"), nullable=False),
    Column("complainant_id", Uuid, ForeignKey("complainant.id"), nullable=False, index=True),
    Column("origin", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id"), index=True),
    document("evidence"),
    instant("valid_from", now=True),
    instant("valid_to", nullable=True),
    CheckConstraint("origin IN ('auto', 'person')", name="origin"),
    Index("ix_complainant_membership_record_id", "record_id", "valid_from"),
    Index("uq_complainant_membership_current", "record_id", unique=True, postgresql_where=text("valid_to IS NULL")),
    info=KEEP,
)

# Corrections bind: between records, because clusters die. kind: must or cannot; object: what they link.
link_constraint = Table(
    "link_constraint",
    metadata,
    uid(),
    Column("object", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("first_id", Uuid, nullable=False, index=True),
    Column("second_id", Uuid, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id"), index=True),
    instant("created_at", now=True),
    instant("revoked_at", nullable=True),
    Column("revoked_by", Text),
    CheckConstraint("object IN ('complainant', 'incident', 'merchant')", name="object"),
    CheckConstraint("kind IN ('must', 'cannot')", name="kind"),
    info=KEEP,
)

# A relink, a merge, a split: all that one act moved names it, so it can be undone as a whole.
link_run = Table(
    "link_run",
    metadata,
    uid(),
    Column("object", Text, nullable=False, server_default=text("'complainant'")),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False, server_default=text("'triage'")),
    Column("reason", Text),
    document("parameters"),
    document("summary", nullable=True),
    instant("started_at", now=True),
    instant("finished_at", nullable=True),
    instant("undone_at", nullable=True),
    Column("undone_by", Uuid, ForeignKey("link_run.id")),
    CheckConstraint(
        "kind IN ('relink', 'bridge', 'merge', 'split', 'move', 'pin', 'unpin', 'close', 'reopen', 'regroup', 'undo')",
        name="kind",
    ),
    info=KEEP,
)

# How many complainants hold a token of a field whose values many share: a common name says little.
token_frequency = Table(
    "token_frequency",
    metadata,
    Column("token", BigInteger, primary_key=True),
    Column("people", Integer, nullable=False),
    info=FREE,
)

# How many matters hold a keyed term: the weight of words. Folded in batches.
term_frequency = Table(
    "term_frequency",
    metadata,
    Column("token", BigInteger, primary_key=True),
    Column("matters", Integer, nullable=False),
    info=KEEP,
)

identifier_history = Table(
    "identifier_history",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("object", Text, nullable=False),
    Column("old_id", Uuid, nullable=False, index=True),
    Column("new_id", Uuid, index=True),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id")),
    instant("at", now=True),
    info=APPEND,
)
