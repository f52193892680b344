"""The letter as received. Personal values and free text are ciphertext; what is in clear is needed to route or count."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)  # fmt: skip

from models.base import APPEND, KEEP, instant, metadata, uid

letter = Table(
    "letter",
    metadata,
    uid(),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("body_cipher", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("channel", Text, nullable=False),
    instant("received_at"),
    instant("event_at"),
    instant("imported_at", nullable=True),
    Column("history", Boolean, nullable=False),
    instant("created_at", now=True),
    # received -> triaged, or -> human after the last attempt
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    instant("next_attempt_at", nullable=True),
    Column("last_error", Text),
    Column("retention_class", Text, nullable=False, server_default=text("'complaint'")),
    Column("legal_hold", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("source", "external_id"),
    CheckConstraint("state IN ('received', 'triaged', 'human')", name="state"),
    Index("ix_letter_received_at", "received_at", "id"),
    Index("ix_letter_untriaged", "next_attempt_at", postgresql_where=text("state = 'received'")),
    info=KEEP,
)

attachment = Table(
    "attachment",
    metadata,
    uid(),
    Column("letter_id", Uuid, ForeignKey("letter.id"), nullable=False, index=True),
    Column("name_cipher", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    info=APPEND,
)

# What the portal sends after the letter: a supplement, a withdrawal, a consent. The letter itself never changes.
supplement = Table(
    "supplement",
    metadata,
    uid(),
    Column("letter_id", Uuid, ForeignKey("letter.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("body_cipher", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    Column("actor", Text, nullable=False),
    instant("created_at", now=True),
    info=APPEND,
)
