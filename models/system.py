"""What the house itself needs: policies, calendars, codes, tokens, audit."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)  # fmt: skip

from models.base import APPEND, FREE, KEEP, instant, metadata, uid

calendar_year = Table(
    "calendar_year",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    instant("loaded_at", now=True),
    info=KEEP,
)

# Only days that differ from their weekday's rule, and statutory days.
calendar_day = Table(
    "calendar_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("working", Boolean, nullable=False),
    Column("statutory", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    # The year whose notice says so: of a day in December it may be the next.
    Column("notice", Integer, nullable=False),
    info=FREE,
)

code = Table(
    "code",
    metadata,
    Column("list", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("parent", Text),
    Column("position", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    info=KEEP,
)

# Which code of one list stands for which of another: the national platform's categories and a hotline's for ours.
code_map = Table(
    "code_map",
    metadata,
    Column("from_list", Text, primary_key=True),
    Column("from_code", Text, primary_key=True),
    Column("to_list", Text, primary_key=True),
    Column("to_code", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    ForeignKeyConstraint(["to_list", "to_code"], ["code.list", "code.code"]),
    info=KEEP,
)

api_token = Table(
    "api_token",
    metadata,
    uid(),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("subject", Text, nullable=False, index=True),
    Column("natural_person", Boolean, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("jurisdictions", ARRAY(Text), nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("skills", ARRAY(Text), nullable=False),
    # A partner's token: for its own hand-overs alone.
    Column("partner_id", Uuid, ForeignKey("partner.id")),
    instant("created_at", now=True),
    instant("expires_at"),
    instant("revoked_at", nullable=True),
    info=KEEP,
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    instant("at", now=True),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("purpose", Text, nullable=False, server_default=text("''")),
    Column("lane", Text),
    # The writing transaction: rows below the oldest one running can't be joined by another, so they can be sealed.
    Column("xid", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Index("ix_audit_entry_object_id", "object_id"),
    Index("ix_audit_entry_xid_id", "xid", "id"),
    info=APPEND,
)

# Batches of committed audit rows in the order (xid, id), chained: a change in any of them breaks every later hash.
audit_seal = Table(
    "audit_seal",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("last_xid", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    instant("at", now=True),
    info=APPEND,
)

# A MAC of the keys in use: the wrong keys are refused at the start, not noticed years later.
key_check = Table(
    "key_check",
    metadata,
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("mac", LargeBinary, nullable=False),
    info=APPEND,
)
