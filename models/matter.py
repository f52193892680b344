"""A matter of a letter (one, or two where complaint and report stand in one letter) and its legal life."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
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

from models.base import APPEND, FREE, KEEP, document, instant, metadata, uid

# Closed with an outcome: what similar cases are looked for among.
_SETTLED = text("closed_at IS NOT NULL AND outcome IS NOT NULL AND copy_of IS NULL")

matter = Table(
    "matter",
    metadata,
    uid(),
    Column("letter_id", Uuid, ForeignKey("letter.id"), nullable=False),
    Column("sequence", SmallInteger, nullable=False),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("kind_probability", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("channel", Text, nullable=False),
    # The place that is competent; the deployment's own code where none was found.
    Column("district", Text, nullable=False),
    Column("goods", Text),
    Column("problem", Text),
    Column("issues", ARRAY(Text), nullable=False),
    Column("demands", ARRAY(Text), nullable=False),
    Column("amount_fen", BigInteger),
    # Offsets and dictionary words only, never free text: dangers, facts that are not personal, missing items.
    document("reading"),
    # Keyed terms and their weights: what a later relink compares, unreadable without the key.
    Column("terms", ARRAY(BigInteger), nullable=False),
    Column("term_weights", ARRAY(REAL), nullable=False),
    # What else a copy is told from another dispute by, and a waiting member teaches its incident.
    Column("order_token", BigInteger),
    Column("product_token", BigInteger),
    Column("lot_token", BigInteger),
    Column("place_tokens", ARRAY(BigInteger), nullable=False),
    Column("shop_token", BigInteger),
    # Those of its words that no dictionary knows: they say who and where, the terms what.
    Column("name_tokens", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    # Where it happened, as incidents are compared: a city and a code or name in it; '' where nobody said.
    Column("city", Text, nullable=False, server_default=text("''")),
    Column("quarter", Text, nullable=False, server_default=text("''")),
    # Keyed minima over its wording: near-identical texts share most of them (ml.text.signature).
    Column("signature", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    # False until the worker has looked for texts like it.
    Column("compared", Boolean, nullable=False, server_default=text("true")),
    Column("event_on", Date),
    instant("received_at"),
    # When the bureau it was dispatched to received it, from where that one's terms count (Art. 41); received_at stays the first receipt.
    instant("reached_at", nullable=True),
    instant("event_at"),
    Column("history", Boolean, nullable=False),
    Column("merchant_id", Uuid, ForeignKey("merchant.id")),
    # R1: the copy stands for its original and starts nothing of its own.
    Column("copy_of", Uuid, ForeignKey("matter.id")),
    Column("case_no", Text, unique=True),
    Column("state", Text, nullable=False),
    Column("authority", Text, nullable=False),
    instant("as_of"),
    Column("track", Text, nullable=False),
    Column("outcome", Text),
    Column("recovered_fen", BigInteger),
    Column("satisfied", Boolean),
    # How often the complainant urged and a superior supervised.
    Column("urged", SmallInteger, nullable=False, server_default=text("0")),
    Column("supervised", SmallInteger, nullable=False, server_default=text("0")),
    instant("closed_at", nullable=True),
    UniqueConstraint("letter_id", "sequence"),
    CheckConstraint("lane IN ('complaint', 'report', 'other')", name="lane"),
    Index("ix_matter_event_at", "event_at", "id"),
    Index("ix_matter_uncompared", "id", postgresql_where=text("NOT compared")),
    Index("ix_matter_merchant_id_received_at", "merchant_id", "received_at"),
    Index("ix_matter_settled_merchant", "merchant_id", "closed_at", postgresql_where=_SETTLED),
    Index("ix_matter_settled_product", "product_token", "closed_at", postgresql_where=_SETTLED),
    Index("ix_matter_settled_class", "goods", "problem", "closed_at", postgresql_where=_SETTLED),
    Index("ix_matter_settled_issue", text("(issues[1])"), "closed_at", postgresql_where=_SETTLED),
    Index("ix_matter_pressed", "id", postgresql_where=text("closed_at IS NULL AND (urged > 0 OR supervised > 0)")),
    info=KEEP,
)

party = Table(
    "party",
    metadata,
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True),
    Column("record_id", Uuid, ForeignKey("complainant_record.id"), primary_key=True, index=True),
    Column("role", Text, primary_key=True),
    CheckConstraint("role IN ('filer', 'principal', 'agent', 'representative')", name="role"),
    info=KEEP,
)

respondent = Table(
    "respondent",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("sequence", SmallInteger, nullable=False),
    Column("merchant_id", Uuid, ForeignKey("merchant.id")),
    Column("written_name", Text),
    Column("shop", Text),
    Column("platform", Text),
    Column("stated", Boolean, nullable=False),
    Column("contact_cipher", LargeBinary),
    Column("key_id", SmallInteger),
    Column("origin", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("link_run.id")),
    document("evidence"),
    instant("valid_from", now=True),
    instant("valid_to", nullable=True),
    info=KEEP,
)

decision = Table(
    "decision",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    # initial, reroute, correction, human: one initial decision per matter, ever
    Column("kind", Text, nullable=False),
    instant("decided_at"),
    Column("actor", Text, nullable=False),
    Column("track", Text, nullable=False),
    Column("rule", Text, nullable=False),
    document("reasons"),
    document("facts"),
    document("evidence"),
    Column("alternative", Text),
    Column("sign", Text, nullable=False),
    Column("policy_hash", Text, ForeignKey("policy.hash"), nullable=False),
    Column("law", Text, nullable=False),
    document("parameters"),
    Index("ix_decision_matter_id", "matter_id", "decided_at"),
    Index("uq_decision_initial", "matter_id", unique=True, postgresql_where=text("kind = 'initial'")),
    info=APPEND,
)

gate = Table(
    "gate",
    metadata,
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True),
    Column("track", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("actor", Text),
    instant("at", nullable=True),
    Column("basis", Text, nullable=False),
    CheckConstraint("state IN ('open', 'passed', 'failed')", name="state"),
    info=KEEP,
)

clock = Table(
    "clock",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("law", Text, nullable=False),
    # What the end is reckoned from, again when a calendar year is loaded: the day that picks the rules, how the last day moves,
    # whether another term of the matter bounds it.
    Column("received_on", Date, nullable=False),
    Column("mode", Text, nullable=False),
    Column("bounded", Boolean, nullable=False, server_default=text("false")),
    instant("started_at"),
    Column("due_on", Date, nullable=False),
    instant("due_at"),
    Column("provisional", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    document("other_modes"),
    # Set while it is paused; a clock that was stopped then keeps it, for it was not late.
    instant("paused_at", nullable=True),
    # Natural days of pauses that ended.
    Column("paused_days", Integer, nullable=False, server_default=text("0")),
    Column("extended", SmallInteger, nullable=False, server_default=text("0")),
    instant("stopped_at", nullable=True),
    Column("stopped_by", Text),
    Index("ix_clock_running", "due_at", postgresql_where=text("stopped_at IS NULL")),
    Index("uq_clock_running", "matter_id", "key", unique=True, postgresql_where=text("stopped_at IS NULL")),
    info=KEEP,
)

# What happened to a clock, by whom and why: pauses, extensions, dates that a calendar changed.
clock_event = Table(
    "clock_event",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("clock_id", Uuid, ForeignKey("clock.id"), nullable=False, index=True),
    Column("act", Text, nullable=False),
    instant("at"),
    Column("actor", Text, nullable=False),
    # Of a pause the reason's key; else in words.
    Column("reason", Text),
    # old, new: the due day before and after; approver of an extension.
    document("detail"),
    CheckConstraint("act IN ('pause', 'resume', 'extend', 'recompute')", name="act"),
    info=APPEND,
)

state_change = Table(
    "state_change",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("authority", Text, nullable=False),
    instant("at"),
    Column("note", Text),
    Column("act", Text),
    Column("ground", Text),
    Column("signed_by", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # What else the act said: the state it interrupted, whom it went to, what it rests on. Ids, codes and dates, no words of people.
    document("detail", nullable=True),
    info=APPEND,
)

# Acts that wait for somebody's signature, or are looked at by a second person afterwards.
approval = Table(
    "approval",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False),
    # sign: of further persons; sample: one person's act, looked at afterwards; clock: drafted because a term ends; partner: because
    # somebody it was handed to ended it; review: on what a complainant said afterwards, a supervisor's to decide.
    Column("kind", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("ground", Text),
    Column("reason", Text),
    document("detail"),
    Column("persons", SmallInteger, nullable=False),
    Column("signed_by", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    instant("created_at"),
    Column("decided_by", Text),
    instant("decided_at", nullable=True),
    Column("decided_reason", Text),
    CheckConstraint("kind IN ('sign', 'sample', 'clock', 'partner', 'review')", name="kind"),
    CheckConstraint("state IN ('open', 'done', 'rejected', 'lapsed')", name="state"),
    Index("uq_approval_open", "matter_id", "act", unique=True, postgresql_where=text("state = 'open'")),
    Index("ix_approval_open", "created_at", "id", postgresql_where=text("state = 'open'")),
    info=KEEP,
)

# Bands of signatures: by them a near-identical text is found again, whoever wrote it and about whom.
signature_key = Table(
    "signature_key",
    metadata,
    Column("token", BigInteger, primary_key=True),
    Column("matter_id", Uuid, ForeignKey("matter.id", deferrable=True, initially="DEFERRED"), primary_key=True),
    instant("at"),
    Index("ix_signature_key_token_at", "token", "at"),
    Index("ix_signature_key_at", "at", postgresql_using="brin"),
    info=FREE,
)

# R1..R8: what repeats, with evidence. A finding is never a mark on a person.
finding = Table(
    "finding",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("code", Text, nullable=False),
    document("evidence"),
    instant("created_at", now=True),
    # One wording, and more than wording in common: what the worker asks the policy about.
    Index("ix_finding_together", "created_at", postgresql_where=text("evidence ? 'together'")),
    info=APPEND,
)

# What a person read where the machine read otherwise: binding for the matter, and tomorrow's training labels.
reading_correction = Table(
    "reading_correction",
    metadata,
    uid(),
    Column("matter_id", Uuid, ForeignKey("matter.id"), nullable=False, index=True),
    Column("actor", Text, nullable=False),
    instant("at", now=True),
    document("before"),
    document("after"),
    # The artifacts whose reading was corrected.
    document("versions"),
    Column("note", Text),
    info=APPEND,
)

# Article 12: a legal joinder with each person's consent. Apart from incidents, which are statistics. It moves nothing: every member
# keeps his matter.
joint_matter = Table(
    "joint_matter",
    metadata,
    uid(),
    Column("incident_id", Uuid, ForeignKey("incident.id"), index=True),
    Column("created_by", Text, nullable=False),
    instant("created_at", now=True),
    Column("state", Text, nullable=False, server_default=text("'proposed'")),
    # Why it is one dispute, in the words of whoever proposed it.
    Column("basis", Text),
    # {reference, attachment_id, recorded_by, at}: the written election of the representatives in office.
    document("election", nullable=True),
    instant("joined_at", nullable=True),
    instant("ended_at", nullable=True),
    Column("ended_by", Text),
    Column("end_reason", Text),
    CheckConstraint("state IN ('proposed', 'joined', 'ended')", name="state"),
    CheckConstraint("state <> 'joined' OR joined_at IS NOT NULL", name="joined"),
    CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended"),
    Index("ix_joint_matter_created_at", "created_at", "id"),
    info=KEEP,
)

joint_member = Table(
    "joint_member",
    metadata,
    Column("joint_matter_id", Uuid, ForeignKey("joint_matter.id"), primary_key=True),
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True, index=True),
    Column("consent", Text, nullable=False, server_default=text("'open'")),
    Column("consent_by", Text),
    instant("consent_at", nullable=True),
    # How the word was given: a document, a call. None: through the portal.
    Column("consent_reference", Text),
    # By the election in office: representative, represented; None for who acts for himself.
    Column("role", Text),
    instant("left_at", nullable=True),
    Column("left_by", Text),
    Column("left_reason", Text),
    CheckConstraint("consent IN ('open', 'given', 'refused', 'withdrawn')", name="consent"),
    CheckConstraint("role IN ('representative', 'represented')", name="role"),
    CheckConstraint(
        "left_reason IN ('refused', 'withdrawn', 'left', 'closed', 'not_a_complaint', 'same_person', 'few', 'ended')",
        name="left_reason",
    ),
    CheckConstraint("(left_at IS NULL) = (left_reason IS NULL)", name="left"),
    CheckConstraint("left_at IS NOT NULL OR consent IN ('open', 'given')", name="kept"),
    # A matter is in one joint matter at a time.
    Index("uq_joint_member_kept", "matter_id", unique=True, postgresql_where=text("left_at IS NULL")),
    info=KEEP,
)

# What was done in a joint matter, by whom and when; matter_id: whose it was, None for all.
joint_event = Table(
    "joint_event",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("joint_matter_id", Uuid, ForeignKey("joint_matter.id"), nullable=False, index=True),
    Column("matter_id", Uuid, ForeignKey("matter.id")),
    Column("act", Text, nullable=False),
    Column("actor", Text, nullable=False),
    instant("at"),
    document("detail"),
    info=APPEND,
)

# What representatives can't do alone (Art. 12(2)): each represented person is asked. Only a reference, never the terms themselves.
joint_proposal = Table(
    "joint_proposal",
    metadata,
    uid(),
    Column("joint_matter_id", Uuid, ForeignKey("joint_matter.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("put_by", Text, nullable=False),
    instant("put_at"),
    CheckConstraint("kind IN ('settlement', 'change', 'waiver')", name="kind"),
    info=APPEND,
)

joint_assent = Table(
    "joint_assent",
    metadata,
    Column("proposal_id", Uuid, ForeignKey("joint_proposal.id"), primary_key=True),
    Column("matter_id", Uuid, ForeignKey("matter.id"), primary_key=True),
    Column("agrees", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    instant("at"),
    Column("reference", Text),
    info=KEEP,
)
