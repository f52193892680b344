"""Merchants behind the names people write."""

from sqlalchemy import Column, Date, Float, ForeignKey, Integer, Table, Text, Uuid

from models.base import FREE, KEEP, instant, metadata, uid

merchant = Table(
    "merchant",
    metadata,
    uid(),
    Column("name", Text, nullable=False),
    Column("core", Text, nullable=False),
    Column("city", Text),
    Column("trade", Text),
    Column("uscc", Text, unique=True),
    Column("registered", Integer, nullable=False),
    Column("merged_into", Uuid, ForeignKey("merchant.id")),
    instant("created_at", now=True),
    info=KEEP,
)

merchant_key = Table(
    "merchant_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("merchant_id", Uuid, ForeignKey("merchant.id"), primary_key=True, index=True),
    info=FREE,
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
    Column("source", Text, nullable=False),
    info=KEEP,
)
