"""Incidents: what many people complain about. Statistics; the legal joinder is joint_matter."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
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
)  # fmt: skip

from models.base import FREE, KEEP, document, instant, metadata, uid

incident = Table(
    "incident",
    metadata,
    uid(),
    Column("state", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("merchant_id", Uuid, ForeignKey("merchant.id"), index=True),
    instant("first_at"),
    instant("last_at"),
    instant("closed_at", nullable=True),
    Column("recurrence_of", Uuid, ForeignKey("incident.id")),
    Column("merged_into", Uuid, ForeignKey("incident.id")),
    # Folded by the worker from memberships; reports count memberships themselves.
    Column("complaints", Integer, nullable=False),
    Column("people_complaints", Integer, nullable=False),
    Column("people_all", Integer, nullable=False),
    Column("unidentified", Integer, nullable=False),
    document("profile"),
    # Raised with every fold: a profile read before another's fold must not overwrite it.
    Column("version", Integer, nullable=False),
    Column("counted_version", Integer, nullable=False, server_default=text("-1")),
    # Small types on purpose: a profile that stays under 2 kB is never moved out of its row.
    Column("terms", ARRAY(BigInteger), nullable=False),
    Column("term_counts", ARRAY(SmallInteger), nullable=False),
    Column("term_weights", ARRAY(REAL), nullable=False),
    instant("created_at", now=True),
    CheckConstraint("state IN ('single', 'watch', 'open', 'closed')", name="state"),
    Index("ix_incident_last_at", "last_at"),
    Index("ix_incident_uncounted", "id", postgresql_where=text("version <> counted_version")),
    info=KEEP,
)

incident_key = Table(
    "incident_key",
    metadata,
    Column("token", BigInteger, primary_key=True),
    Column("incident_id", Uuid, ForeignKey("incident.id"), primary_key=True, index=True),
    instant("last_at"),
    Index("ix_incident_key_token_last_at", "token", "last_at"),
    info=FREE,
)

incident_membership = Table(
    "incident_membership",
    metadata,
    uid(),
    Column("incident_id", Uuid, ForeignKey("incident.id"), nullable=False),
    Column("matter_id", Uuid, ForeignKey("matter.id", deferrable=True, initially="DEFERRED"), nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Column("origin", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id")),
    document("evidence"),
    # folded: in the incident's profile; counted: in the term frequencies.
    Column("folded", Boolean, nullable=False),
    Column("counted", Boolean, nullable=False),
    instant("valid_from", now=True),
    instant("valid_to", nullable=True),
    CheckConstraint("origin IN ('auto', 'person')", name="origin"),
    Index("ix_incident_membership_current", "incident_id", "matter_id", postgresql_where=text("valid_to IS NULL")),
    Index("ix_incident_membership_unfolded", "incident_id", postgresql_where=text("NOT folded")),
    Index("ix_incident_membership_uncounted", "id", postgresql_where=text("NOT counted")),
    Index(
        "uq_incident_membership_primary",
        "matter_id",
        unique=True,
        postgresql_where=text("valid_to IS NULL AND is_primary"),
    ),
    info=KEEP,
)
