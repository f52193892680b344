"""Who matters are handed to, what was handed to whom, and every word that came back."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
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

_KIND = (
    "kind IN ('odr', 'consumer_council', 'people_mediation', 'judicial_confirmation', 'enforcement', 'hotline_12345', 'department', "
    "'public_interest')"
)

partner = Table(
    "partner",
    metadata,
    uid(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    # What it has in its directory: the unified code of an ODR enterprise, the key of an organisation.
    Column("directory_key", Text),
    Column("jurisdictions", ARRAY(Text), nullable=False),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    instant("disabled_at", nullable=True),
    CheckConstraint(_KIND, name="kind"),
    Index("uq_partner_directory", "kind", "directory_key", unique=True, postgresql_where=text("disabled_at IS NULL")),
    info=KEEP,
)

handover = Table(
    "handover",
    metadata,
    uid(),
    # Of a public-interest candidate one of the incident's matters: its events are numbered there.
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    Column("incident_id", Uuid, ForeignKey("incident.id")),
    Column("kind", Text, nullable=False),
    Column("partner_id", Uuid, ForeignKey("partner.id"), nullable=False),
    # The act that made it; None: it is beside the acts (an answer, a clue, an enquiry).
    Column("act", Text),
    Column("basis", Text, nullable=False),
    Column("due_on", Date),
    Column("state", Text, nullable=False),
    # Of the status that stands; None until the partner said something.
    instant("as_of", nullable=True),
    Column("result", Text),
    Column("external_ref", Text),
    Column("agreement_on", Date),
    Column("recovered_fen", BigInteger),
    # What the desk tells the partner.
    Column("message_cipher", LargeBinary),
    Column("key_id", SmallInteger),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    instant("closed_at", nullable=True),
    # Why a person of the desk should look at it; None: seen, or nothing to see.
    Column("attention", Text),
    CheckConstraint(_KIND, name="kind"),
    CheckConstraint("state IN ('sent', 'received', 'working', 'done', 'failed', 'returned', 'recalled')", name="state"),
    CheckConstraint("(closed_at IS NULL) = (state IN ('sent', 'received', 'working'))", name="closed"),
    CheckConstraint("(kind = 'public_interest') = (incident_id IS NOT NULL)", name="incident"),
    Index(
        "uq_handover_open",
        "matter_id",
        "kind",
        unique=True,
        postgresql_where=text("closed_at IS NULL AND incident_id IS NULL"),
    ),
    Index("uq_handover_open_incident", "incident_id", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("ix_handover_matter_id", "matter_id"),
    Index("ix_handover_partner_id", "partner_id", "created_at", "id"),
    Index("ix_handover_created_at", "created_at", "id"),
    info=KEEP,
)

handover_status = Table(
    "handover_status",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("handover_id", Uuid, ForeignKey("handover.id"), nullable=False),
    # The sender's own name of it: the same again is the same status.
    Column("status_id", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("state", Text, nullable=False),
    instant("as_of"),
    instant("recorded_at"),
    Column("actor", Text, nullable=False),
    Column("result", Text),
    Column("external_ref", Text),
    Column("agreement_on", Date),
    Column("recovered_fen", BigInteger),
    # In the sender's words.
    Column("reason_cipher", LargeBinary),
    Column("key_id", SmallInteger),
    # False: kept, but another status stands. effect: what it did, or why it did nothing; state_after: of the hand-over.
    Column("applied", Boolean, nullable=False),
    Column("effect", Text),
    Column("state_after", Text, nullable=False),
    CheckConstraint("authority IN ('bureau', 'partner')", name="authority"),
    UniqueConstraint("handover_id", "authority", "status_id"),
    info=APPEND,
)
