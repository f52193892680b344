"""Merchants behind the names people write."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from models.base import FREE, KEEP, document, instant, metadata, uid

merchant = Table(
    "merchant",
    metadata,
    uid(),
    Column("name", Text, nullable=False),
    Column("core", Text, nullable=False),
    Column("city", Text),
    Column("trade", Text),
    Column("uscc", Text, unique=True),
    # Of one that was merged away: the code went along.
    Column("former_uscc", Text),
    # 1: of the register that the bureau loaded; 0: only known from what people write.
    Column("registered", Integer, nullable=False),
    Column("industry", Text),
    Column("chain", Boolean, nullable=False, server_default=text("false")),
    # Counts over its mentions: what a written name is compared with (ml.merchants.Known).
    document("profile", nullable=True),
    Column("merged_into", Uuid, ForeignKey("merchant.id")),
    instant("created_at", now=True),
    info=KEEP,
)

merchant_key = Table(
    "merchant_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("merchant_id", Uuid, ForeignKey("merchant.id"), primary_key=True, index=True),
    # How well known the merchant is, in steps of two: of many with one sound the best known are looked at.
    Column("standing", SmallInteger, nullable=False, server_default=text("0")),
    Index("ix_merchant_key_standing", "key", text("standing DESC"), text("merchant_id DESC")),
    info=FREE,
)

# Brands by their sound: texts are looked through for them. A process reads what was added since it last looked.
merchant_brand = Table(
    "merchant_brand",
    metadata,
    Column("sound", Text, primary_key=True),
    instant("added_at", now=True, index=True),
    info=KEEP,
)

# Names that a register or a person gave it, besides those people write.
merchant_name = Table(
    "merchant_name",
    metadata,
    Column("merchant_id", Uuid, ForeignKey("merchant.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("kind IN ('registered', 'alias', 'former')", name="kind"),
    info=KEEP,
)

merchant_shop = Table(
    "merchant_shop",
    metadata,
    uid(),
    Column("merchant_id", Uuid, ForeignKey("merchant.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("district", Text),
    Column("address", Text),
    Column("source", Text, nullable=False),
    info=KEEP,
)

# Enterprises that settle online with the consumer first (在线消费纠纷解决企业), by validity.
odr_enterprise = Table(
    "odr_enterprise",
    metadata,
    Column("uscc", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    Column("name", Text, nullable=False),
    Column("reply_rate", Float),
    Column("success_rate", Float),
    Column("district", Text),
    # The day it leaves the roster, as announced (动态退出), and why.
    Column("exit_on", Date),
    Column("exit_reason", Text),
    Column("source", Text, nullable=False),
    info=KEEP,
)
