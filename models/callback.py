"""Who is asked after a complaint ended, by when, and what was answered (Order 121 Art. 26)."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)  # fmt: skip

from models.base import KEEP, instant, metadata, uid

callback = Table(
    "callback",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    # ended: drawn when the matter ended; repeat: the same dispute came again (R2).
    Column("cause", Text, nullable=False),
    # How the matter had ended: a rule's name in data/callbacks.json, of a repeat the state it was in.
    Column("ending", Text, nullable=False),
    # Who handled and ended the matter: none of them asks.
    Column("settled_by", ARRAY(Text), nullable=False),
    # The first day on which one may ask, the end of the last.
    Column("due_from", Date, nullable=False),
    instant("due_at"),
    instant("opened_at"),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    # Calls that nobody answered.
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    instant("attempted_at", nullable=True),
    # Who is asking now, until when nobody else is given it.
    Column("taken_by", Text),
    instant("taken_until", nullable=True),
    Column("satisfied", Text),
    # Of an agreement.
    Column("performed", Text),
    # None: not asked.
    Column("wants_reopening", Boolean),
    # Masked.
    Column("note", Text),
    Column("closed_by", Text),
    instant("closed_at", nullable=True),
    # What was proposed on this answer.
    Column("approval_id", Uuid, ForeignKey("approval.id")),
    CheckConstraint("cause IN ('ended', 'repeat')", name="cause"),
    CheckConstraint("state IN ('open', 'done', 'unreachable', 'lapsed')", name="state"),
    CheckConstraint("satisfied IN ('very', 'yes', 'neutral', 'no')", name="satisfied"),
    CheckConstraint("performed IN ('yes', 'partly', 'no', 'not_due')", name="performed"),
    CheckConstraint("(state = 'done') = (satisfied IS NOT NULL)", name="done"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
    CheckConstraint("(taken_by IS NULL) = (taken_until IS NULL)", name="taken"),
    Index("uq_callback_open", "matter_id", unique=True, postgresql_where=text("state = 'open'")),
    Index("ix_callback_state", "state", "due_at", "id"),
    Index("ix_callback_opened_at", "opened_at"),
    info=KEEP,
)
