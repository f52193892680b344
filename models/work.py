"""The mediators' queue. An item is the work on one matter; a unit is what one person works on: an item, or those of a joint matter together.
A unit with open items has either a row in `ready` or one in `lease`, never both.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)  # fmt: skip

from models.base import APPEND, FREE, KEEP, document, instant, metadata, uid

# Which work falls where is data: of a track, a place, classes of goods or problems; who may pull it: a role, a skill.
queue = Table(
    "queue",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("lane", Text, nullable=False),
    # Whose matters fall in it by themselves; None: only what a person sends there.
    Column("track", Text),
    # A prefix of region codes; '' is everywhere.
    Column("district", Text, nullable=False, server_default=text("''")),
    # The desk that works on it, by name.
    Column("desk", Text),
    # What a person must be able to do.
    Column("skill", Text),
    Column("goods", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("problems", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("roles", ARRAY(Text), nullable=False, server_default=text("'{mediator,supervisor}'")),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    CheckConstraint("lane IN ('complaint', 'report', 'any')", name="lane"),
    info=KEEP,
)

work_item = Table(
    "work_item",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, unique=True),
    # The id of one of the unit's items, its own where it stands alone.
    Column("unit_id", Uuid, nullable=False, index=True),
    Column("queue_id", Text, ForeignKey("queue.id"), nullable=False),
    Column("district", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    instant("due_at", nullable=True),
    # What the queue is ordered by: the due time, moved forward by priority. Fixed, so waiting items age by themselves.
    instant("urgent_at"),
    Column("flags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    instant("enqueued_at", now=True),
    instant("finished_at", nullable=True),
    # What is open, by its term, with what the team view and its lists ask beside it.
    Index(
        "ix_work_item_open",
        "due_at",
        "id",
        postgresql_include=["queue_id", "district", "unit_id", "enqueued_at"],
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index("ix_work_item_flagged", "id", postgresql_where=text("finished_at IS NULL AND flags <> '{}'")),
    info=KEEP,
)

# What may be pulled, and nothing else: a claim deletes its row, which touches no index. No foreign key here and in `lease`: its check
# locks the item at every claim, and items are never deleted.
ready = Table(
    "ready",
    metadata,
    Column("unit_id", Uuid, primary_key=True),
    Column("queue_id", Text, nullable=False),
    Column("district", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    instant("urgent_at"),
    # Who may not have it: recused from one of its matters; '*': whoever is not cleared for reports.
    Column("excluded", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Index("ix_ready_pull", "queue_id", "urgent_at", "unit_id"),
    Index("ix_ready_pull_city", "queue_id", text('"left"(district, 4)'), "urgent_at", "unit_id"),
    Index("ix_ready_pull_district", "queue_id", "district", "urgent_at", "unit_id"),
    # The least urgent ones, which have a share of their own.
    Index("ix_ready_last", "queue_id", "urgent_at", "unit_id", postgresql_where=text("priority = 0")),
    Index(
        "ix_ready_last_city",
        "queue_id",
        text('"left"(district, 4)'),
        "urgent_at",
        "unit_id",
        postgresql_where=text("priority = 0"),
    ),
    Index("ix_ready_last_district", "queue_id", "district", "urgent_at", "unit_id", postgresql_where=text("priority = 0")),
    info=FREE,
)

lease = Table(
    "lease",
    metadata,
    Column("unit_id", Uuid, primary_key=True),
    Column("token", Uuid, nullable=False),
    Column("holder", Text, nullable=False, index=True),
    instant("claimed_at", now=True),
    instant("until", index=True),
    # Why it rests with its holder: appraisal, appointment, reply, other; None while he works on it.
    Column("held_for", Text),
    # By which the client that claimed it asks again.
    Column("request_key", Text),
    CheckConstraint("held_for IN ('appraisal', 'appointment', 'reply', 'other')", name="held_for"),
    info=FREE,
)

# What ended a lease, with its token, and what else happened to an item.
work_event = Table(
    "work_event",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("work_item_id", Uuid, ForeignKey("work_item.id"), nullable=False, index=True),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("token", Uuid),
    document("detail"),
    instant("at", now=True, index=True),
    info=APPEND,
)

# 回避: who may not work on a matter (Order 121 Art. 21).
recusal = Table(
    "recusal",
    metadata,
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    instant("at", now=True),
    info=APPEND,
)

# Who is away, and who stands in for him.
absence = Table(
    "absence",
    metadata,
    uid(),
    Column("subject", Text, nullable=False),
    instant("from_at"),
    instant("until_at"),
    Column("deputy", Text),
    Column("actor", Text, nullable=False),
    instant("created_at", now=True),
    instant("ended_at", nullable=True),
    Column("ended_by", Text),
    CheckConstraint("until_at > from_at", name="span"),
    CheckConstraint("deputy <> subject", name="deputy"),
    Index("ix_absence_running", "subject", "until_at", postgresql_where=text("ended_at IS NULL")),
    info=KEEP,
)

# A queue's part in a district that starves: opened once, closed when it is over.
queue_alarm = Table(
    "queue_alarm",
    metadata,
    uid(),
    Column("queue_id", Text, ForeignKey("queue.id"), nullable=False),
    Column("district", Text, nullable=False),
    # unclaimed: something red and nobody pulls; waiting: something waited too long for its term.
    Column("kind", Text, nullable=False),
    # Counts and times as last seen.
    document("figures"),
    instant("opened_at"),
    instant("last_seen_at"),
    instant("closed_at", nullable=True),
    Column("acknowledged_by", Text),
    instant("acknowledged_at", nullable=True),
    Column("note", Text),
    CheckConstraint("kind IN ('unclaimed', 'waiting')", name="kind"),
    Index("uq_queue_alarm_open", "queue_id", "district", "kind", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("ix_queue_alarm_opened_at", "opened_at", "id"),
    info=KEEP,
)
