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
    Column("run_id", Uuid, ForeignKey("link_run.id")),
    document("evidence"),
    instant("valid_from", now=True),
    instant("valid_to", nullable=True),
    CheckConstraint("origin IN ('auto', 'person')", name="origin"),
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
    instant("created_at", now=True),
    instant("revoked_at", nullable=True),
    Column("revoked_by", Text),
    CheckConstraint("object IN ('complainant', 'incident', 'merchant')", name="object"),
    CheckConstraint("kind IN ('must', 'cannot')", name="kind"),
    info=KEEP,
)

# Every automatic link names its run, so a whole run can be undone.
link_run = Table(
    "link_run",
    metadata,
    uid(),
    Column("kind", Text, nullable=False),
    document("parameters"),
    instant("started_at", now=True),
    instant("finished_at", nullable=True),
    instant("undone_at", nullable=True),
    info=KEEP,
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
    Column("new_id", Uuid),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id")),
    instant("at", now=True),
    info=APPEND,
)
