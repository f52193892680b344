"""What others must be told: the outbox, who listens, each delivery, and pages that a named person must acknowledge."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
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

from models.base import APPEND, KEEP, document, instant, metadata, uid

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    document("payload"),
    instant("created_at", now=True),
    # When a delivery was made of it for everybody who listens; the event itself is over then.
    instant("dispatched_at", nullable=True),
    # Set: for the partner of that hand-over alone.
    Column("handover_id", Uuid, ForeignKey("handover.id")),
    UniqueConstraint("matter_id", "sequence"),
    Index("ix_outbox_waiting", "id", postgresql_where=text("dispatched_at IS NULL")),
    Index("ix_outbox_handover_id", "handover_id", postgresql_where=text("handover_id IS NOT NULL")),
    info=KEEP,
)

webhook = Table(
    "webhook",
    metadata,
    uid(),
    Column("url", Text, nullable=False),
    # Which events: their kinds (empty: all), places (prefixes), and lanes: that a report exists is not for everyone.
    Column("kinds", ARRAY(Text), nullable=False),
    Column("jurisdictions", ARRAY(Text), nullable=False),
    Column("lanes", ARRAY(Text), nullable=False),
    Column("secret_cipher", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    instant("disabled_at", nullable=True),
    # A partner's: it is sent its own hand-overs and nothing else.
    Column("partner_id", Uuid, ForeignKey("partner.id")),
    Index("uq_webhook_partner", "partner_id", unique=True, postgresql_where=text("disabled_at IS NULL")),
    info=KEEP,
)

delivery = Table(
    "delivery",
    metadata,
    uid(),
    Column("webhook_id", Uuid, ForeignKey("webhook.id"), nullable=False),
    Column("outbox_id", BigInteger, ForeignKey("outbox.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    instant("next_attempt_at"),
    Column("last_status", SmallInteger),
    Column("last_error", Text),
    instant("created_at", now=True),
    instant("delivered_at", nullable=True),
    UniqueConstraint("webhook_id", "outbox_id"),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    Index("ix_delivery_waiting", "next_attempt_at", postgresql_where=text("state = 'waiting'")),
    Index("ix_delivery_created_at", "created_at", "id"),
    info=KEEP,
)

# An emergency calls until a named person answers.
page = Table(
    "page",
    metadata,
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True),
    instant("raised_at"),
    Column("calls", SmallInteger, nullable=False, server_default=text("1")),
    instant("next_call_at"),
    instant("acknowledged_at", nullable=True),
    Column("acknowledged_by", Text),
    Index("ix_page_open", "next_call_at", postgresql_where=text("acknowledged_at IS NULL")),
    info=KEEP,
)

# Answers of the other side, one row an attempt: what a support call asks for first.
delivery_attempt = Table(
    "delivery_attempt",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("delivery_id", Uuid, ForeignKey("delivery.id"), nullable=False, index=True),
    instant("at", now=True),
    Column("status", SmallInteger),
    Column("error", Text),
    Column("milliseconds", Integer, nullable=False),
    info=APPEND,
)
