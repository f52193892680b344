"""The mediators' queue. A claim moves the item out of the pull index and a lease into its own table."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)  # fmt: skip

from models.base import APPEND, FREE, KEEP, document, instant, metadata, uid

queue = Table(
    "queue",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("lane", Text, nullable=False),
    info=KEEP,
)

work_item = Table(
    "work_item",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, unique=True),
    Column("queue_id", Text, ForeignKey("queue.id"), nullable=False),
    Column("district", Text, nullable=False),
    Column("skill", Text),
    Column("priority", SmallInteger, nullable=False),
    instant("due_at", nullable=True),
    # What the queue is ordered by: the due time, moved forward by priority. Fixed, so waiting items age by themselves.
    instant("urgent_at"),
    Column("state", Text, nullable=False),
    Column("flags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("claims", Integer, nullable=False, server_default=text("0")),
    instant("enqueued_at", now=True),
    instant("finished_at", nullable=True),
    CheckConstraint("state IN ('ready', 'leased', 'finished')", name="state"),
    Index("ix_work_item_pull", "queue_id", "urgent_at", "id", postgresql_where=text("state = 'ready'")),
    Index("ix_work_item_pull_district", "queue_id", "district", "urgent_at", "id", postgresql_where=text("state = 'ready'")),
    info=KEEP,
)

lease = Table(
    "lease",
    metadata,
    Column("work_item_id", Uuid, ForeignKey("work_item.id"), primary_key=True),
    Column("token", Uuid, nullable=False),
    Column("holder", Text, nullable=False, index=True),
    instant("claimed_at", now=True),
    instant("until", index=True),
    info=FREE,
)

work_event = Table(
    "work_event",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("work_item_id", Uuid, ForeignKey("work_item.id"), nullable=False, index=True),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    document("detail"),
    instant("at", now=True),
    info=APPEND,
)
