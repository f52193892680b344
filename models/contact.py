"""Whom somebody tried to speak with about a matter and what came of it, and when the sides meet: the file that a termination under
Art. 23(1)(2) rests on."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from models.base import APPEND, KEEP, instant, metadata, uid

appointment = Table(
    "appointment",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    # The client's own name of it: the same again is the same appointment.
    Column("key", Uuid, nullable=False),
    instant("at"),
    Column("minutes", SmallInteger, nullable=False),
    # on_site, or by which remote means (Art. 20(1)); place: where, or how it is joined.
    Column("form", Text, nullable=False),
    Column("place", Text),
    Column("mediator", Text, nullable=False),
    Column("participants", ARRAY(Text), nullable=False),
    Column("created_by", Text, nullable=False),
    instant("created_at"),
    Column("state", Text, nullable=False, server_default=text("'planned'")),
    Column("decided_by", Text),
    instant("decided_at", nullable=True),
    # Of a missed one who did not come, and of those whose reason was good.
    Column("missed_by", ARRAY(Text)),
    Column("excused", ARRAY(Text)),
    Column("reason", Text),
    # The one it was moved from; that one's notices told another time.
    Column("moved_from", Uuid, ForeignKey("appointment.id"), unique=True),
    UniqueConstraint("matter_id", "key"),
    CheckConstraint("form IN ('on_site', 'online', 'call', 'audio', 'video')", name="form"),
    CheckConstraint("state IN ('planned', 'held', 'missed', 'cancelled', 'moved')", name="state"),
    CheckConstraint("minutes BETWEEN 5 AND 600", name="minutes"),
    CheckConstraint("(state = 'planned') = (decided_at IS NULL)", name="decided"),
    CheckConstraint("(state = 'missed') = (missed_by IS NOT NULL)", name="missed"),
    CheckConstraint("(missed_by IS NULL) = (excused IS NULL)", name="excused"),
    CheckConstraint("participants <@ ARRAY['consumer', 'merchant'] AND participants <> '{}'", name="participants"),
    Index("ix_appointment_mediator_at", "mediator", "at"),
    info=KEEP,
)

# Append-only: a wrong entry is struck by a second one that names it.
contact = Table(
    "contact",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    Column("key", Uuid, nullable=False),
    Column("party", Text),
    Column("way", Text),
    Column("result", Text),
    # When it was, and when it was written down: on a later day it counts, and says so.
    instant("at"),
    instant("noted_at"),
    Column("actor", Text, nullable=False),
    Column("note", Text),
    # The appointment that it told of.
    Column("appointment_id", Uuid, ForeignKey("appointment.id")),
    # What was agreed or refused in it: settlement, delegation, mediation; gates: what that decided, as t3.merchant_consent.
    Column("consent_to", Text),
    Column("agrees", Boolean),
    Column("gates", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("strikes", Uuid, ForeignKey("contact.id"), unique=True),
    UniqueConstraint("matter_id", "key"),
    CheckConstraint("party IN ('consumer', 'merchant', 'agent', 'other')", name="party"),
    CheckConstraint("consent_to IN ('settlement', 'delegation', 'mediation')", name="consent_to"),
    CheckConstraint("(consent_to IS NULL) = (agrees IS NULL)", name="consent"),
    CheckConstraint(
        "CASE WHEN strikes IS NULL THEN party IS NOT NULL AND way IS NOT NULL AND result IS NOT NULL "
        "ELSE coalesce(party, way, result, consent_to, appointment_id::text) IS NULL AND note IS NOT NULL END",
        name="strikes",
    ),
    Index("ix_contact_appointment_id", "appointment_id", postgresql_where=text("appointment_id IS NOT NULL")),
    info=APPEND,
)
