"""Official documents: a bureau's templates, drafts, and what was signed, which nothing changes again."""

from sqlalchemy import (
    ARRAY,
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

from models.base import APPEND, KEEP, instant, metadata, uid

# A bureau's own in place of the shipped ones: the narrowest jurisdiction's, of those the latest that is valid.
document_template = Table(
    "document_template",
    metadata,
    uid(),
    Column("form", SmallInteger, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("hash", Text, nullable=False),
    instant("created_at", now=True),
    UniqueConstraint("form", "jurisdiction", "valid_from", "hash"),
    CheckConstraint("form BETWEEN 1 AND 10", name="form"),
    info=APPEND,
)

# One draft per matter and form; drawing it anew voids the one before. What it says moves to signed_document when it is signed.
document = Table(
    "document",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("form", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("audiences", ARRAY(Text), nullable=False),
    # Values and drawn copies, one per audience: they hold names.
    Column("content_cipher", LargeBinary),
    Column("key_id", SmallInteger, nullable=False),
    Column("template_hash", Text, nullable=False),
    # Whose numbers it counts in, and the words of its number; what it can't be signed without.
    Column("series", Text, nullable=False),
    Column("number_words", ARRAY(Text), nullable=False),
    Column("missing", ARRAY(Text), nullable=False),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    Column("replaces", Uuid, ForeignKey("document.id")),
    Column("voided_by", Text),
    instant("voided_at", nullable=True),
    Column("void_reason", Text),
    CheckConstraint("form BETWEEN 1 AND 10", name="form"),
    CheckConstraint("state IN ('draft', 'signed', 'void')", name="state"),
    CheckConstraint("state <> 'draft' OR content_cipher IS NOT NULL", name="content"),
    Index("uq_document_draft", "matter_id", "form", unique=True, postgresql_where=text("state = 'draft'")),
    info=KEEP,
)

signed_document = Table(
    "signed_document",
    metadata,
    Column("document_id", Uuid, ForeignKey("document.id"), primary_key=True),
    Column("series", Text, nullable=False),
    Column("form", SmallInteger, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("running", Integer, nullable=False),
    Column("number", Text, nullable=False),
    Column("signed_by", ARRAY(Text), nullable=False),
    instant("signed_at"),
    Column("content_cipher", LargeBinary, nullable=False),
    Column("key_id", SmallInteger, nullable=False),
    UniqueConstraint("series", "form", "year", "running"),
    CheckConstraint("cardinality(signed_by) > 0", name="signed_by"),
    info=APPEND,
)

# The last number given. Taken in the transaction that signs, so none is lost and none given twice.
document_series = Table(
    "document_series",
    metadata,
    Column("series", Text, primary_key=True),
    Column("form", SmallInteger, primary_key=True),
    Column("year", SmallInteger, primary_key=True),
    Column("last", Integer, nullable=False),
    info=KEEP,
)
