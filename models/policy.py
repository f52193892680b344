"""Versions of the policy, and what was done to them: drafted, proposed, back-tested, published."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, ForeignKey, Index, Table, Text, text

from models.base import APPEND, document, instant, metadata

# A version is its content, named by its hash; nothing about it ever changes.
policy = Table(
    "policy",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    document("content"),
    Column("author", Text, nullable=False),
    instant("created_at", now=True),
    info=APPEND,
)

# Published more than once where it was rolled back to. valid_from: of a publication, and of a proposal where it names a day.
policy_act = Table(
    "policy_act",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("policy_hash", Text, ForeignKey("policy.hash"), nullable=False),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    instant("at", now=True),
    Column("valid_from", Date),
    Column("note", Text),
    # Of a back-test: what it found, and against which versions.
    document("report", nullable=True),
    CheckConstraint("act IN ('proposed', 'backtested', 'published')", name="act"),
    CheckConstraint("act <> 'published' OR valid_from IS NOT NULL", name="valid_from"),
    Index("ix_policy_act_policy_hash", "policy_hash", "id"),
    Index("ix_policy_act_published", "valid_from", "id", postgresql_where=text("act = 'published'")),
    info=APPEND,
)
