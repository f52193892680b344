"""The letter as received. Personal values and free text are ciphertext; what is in clear is needed to route or count."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
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

# What another system says of a letter it sent: each state as its export told it, never changed. Where the columns are those of a row
# told before, they are kept once (columns_cipher is empty then).
platform_state = Table(
    "platform_state",
    metadata,
    uid(),
    Column("letter_id", Uuid, ForeignKey("letter.id"), nullable=False),
    # platform: the national one, whose word is the law's; partner: a hotline's or another body's, which is only compared.
    Column("authority", Text, nullable=False),
    # When it was so by the row's own time, else by the time of the export.
    instant("as_of"),
    # One of importers.STATES; empty where nothing of the row is known.
    Column("state", Text),
    Column("outcome", Text),
    instant("accepted_at", nullable=True),
    instant("ended_at", nullable=True),
    Column("recovered_fen", BigInteger),
    Column("fine_fen", BigInteger),
    Column("confiscated_fen", BigInteger),
    # The authority and its unit that handle it.
    Column("handler", Text),
    Column("columns_sha256", LargeBinary, nullable=False),
    Column("columns_cipher", LargeBinary),
    Column("key_id", SmallInteger),
    Column("import_id", Uuid, nullable=False),
    instant("created_at", now=True),
    UniqueConstraint("letter_id", "as_of", "columns_sha256"),
    CheckConstraint("authority IN ('platform', 'partner')", name="authority"),
    info=APPEND,
)

# How what was told stands to what we hold, one row a letter: how many states were told and how many of them are taken account of, what
# waits for a person, and what he said.
reconciliation = Table(
    "reconciliation",
    metadata,
    Column("letter_id", Uuid, ForeignKey("letter.id"), primary_key=True),
    Column("matter_id", Uuid, ForeignKey("matter.id")),
    Column("told", Integer, nullable=False),
    Column("seen", Integer, nullable=False, server_default=text("0")),
    Column("verdict", Text, nullable=False, server_default=text("'waiting'")),
    Column("cause", Text),
    Column("ours", Text),
    Column("theirs", Text),
    Column("authority", Text),
    instant("as_of", nullable=True),
    instant("opened_at", nullable=True),
    # A person's word on a contradiction: ours or platform; who signed it, the last at held_at.
    Column("held", Text),
    Column("signed_by", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    instant("held_at", nullable=True),
    Column("reason", Text),
    CheckConstraint(
        "verdict IN ('waiting', 'confirmed', 'behind', 'recorded', 'unplaced', 'unknown', 'contradiction')",
        name="verdict",
    ),
    CheckConstraint("held IN ('ours', 'platform')", name="held"),
    Index("ix_reconciliation_waiting", "letter_id", postgresql_where=text("seen < told")),
    Index(
        "ix_reconciliation_open", "opened_at", "letter_id", postgresql_where=text("verdict = 'contradiction' AND held_at IS NULL")
    ),
    info=KEEP,
)
