"""Incidents: what many people complain about. Statistics; the legal joinder is joint_matter."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
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
    # Somebody was hurt or many were put at risk: open whatever the number.
    Column("harm", Boolean, nullable=False, server_default=text("false")),
    # How large it was when its matters were last routed by its size, whether that was more than its merchant's usual rate, and whether
    # it has grown since: a queue for the worker.
    Column("routed_people", Integer, nullable=False, server_default=text("0")),
    Column("routed_districts", SmallInteger, nullable=False, server_default=text("0")),
    Column("routed_harm", Boolean, nullable=False, server_default=text("false")),
    Column("excess", Boolean),
    Column("grown", Boolean, nullable=False, server_default=text("false")),
    # A person closed or named it, or said what belongs to it: nothing automatic moves its members.
    Column("closed_by", Text),
    Column("titled_by", Text),
    Column("pinned_by", Text),
    instant("reopened_at", nullable=True),
    Column("key_phrases", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # Folded by the worker from memberships; reports count memberships themselves.
    Column("complaints", Integer, nullable=False),
    Column("people_complaints", Integer, nullable=False),
    Column("people_all", Integer, nullable=False),
    Column("unidentified", Integer, nullable=False),
    Column("districts", SmallInteger, nullable=False, server_default=text("0")),
    document("profile"),
    # Raised with every fold: a profile read before another's fold must not overwrite it.
    Column("version", Integer, nullable=False),
    Column("counted_version", Integer, nullable=False, server_default=text("-1")),
    # Words of the profile, packed (app.incidents).
    Column("words", LargeBinary, nullable=False),
    instant("created_at", now=True),
    CheckConstraint("state IN ('single', 'watch', 'open', 'closed')", name="state"),
    CheckConstraint("scope IN ('shop', 'merchant', 'chain', 'area', 'lot')", name="scope"),
    Index("ix_incident_last_at", "last_at"),
    Index("ix_incident_recurrence_of", "recurrence_of", postgresql_where=text("recurrence_of IS NOT NULL")),
    Index("ix_incident_grown", "id", postgresql_where=text("grown")),
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
    Index("ix_incident_membership_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    # What was moved, and what belongs to a second incident: few, and asked for by whoever reads or undoes.
    Index("ix_incident_membership_past", "incident_id", postgresql_where=text("valid_to IS NOT NULL")),
    Index("ix_incident_membership_past_matter", "matter_id", postgresql_where=text("valid_to IS NOT NULL")),
    Index("ix_incident_membership_second", "matter_id", postgresql_where=text("valid_to IS NULL AND NOT is_primary")),
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

# What rises faster than chance. What was seen stays as it was when found; only last_on is written later.
burst = Table(
    "burst",
    metadata,
    uid(),
    Column("kind", Text, nullable=False),
    # Of the merchant, the product or the lot (keyed), the district, the problem.
    Column("key", Text, nullable=False),
    Column("first_on", Date, nullable=False),
    Column("found_on", Date, nullable=False),
    Column("last_on", Date),
    Column("window_days", SmallInteger, nullable=False),
    Column("people", Integer, nullable=False),
    Column("expected", REAL, nullable=False),
    Column("log10_tail", REAL, nullable=False),
    Column("log10_threshold", REAL, nullable=False),
    Column("base_per_day", REAL, nullable=False),
    Column("factor", REAL, nullable=False),
    Column("shape", REAL, nullable=False),
    Column("new_series", Boolean, nullable=False),
    Column("false_alarms_per_month", REAL, nullable=False),
    instant("found_at", now=True),
    Column("seen_by", Text),
    instant("seen_at", nullable=True),
    CheckConstraint("kind IN ('merchant', 'product', 'lot', 'district', 'problem')", name="kind"),
    UniqueConstraint("kind", "key", "first_on"),
    Index("ix_burst_found_on", "found_on"),
    info=KEEP,
)
