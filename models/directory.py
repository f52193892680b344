"""Who else there is: mediation bodies, service stations, other departments, bureaux, platforms; each as it was from a day to a day."""

from sqlalchemy import ARRAY, CheckConstraint, Column, Date, Index, Table, Text, text

from models.base import KEEP, metadata

organisation = Table(
    "organisation",
    metadata,
    Column("kind", Text, primary_key=True),
    # What tells it from others of its kind: its code, else name and place as they were first told.
    Column("key", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    # The last day of which this is true.
    Column("valid_to", Date),
    Column("code", Text),
    Column("name", Text, nullable=False),
    # The place it serves, without trailing zeros: 4201 is Wuhan with its districts.
    Column("district", Text),
    Column("address", Text),
    Column("phone", Text),
    # What kind of body, who hosts a station, which matters it takes, the word of a bureau's document numbers.
    Column("category", Text),
    Column("host", Text),
    Column("matters", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("word", Text),
    # Of a platform: other names of it, and the company that runs it, whose domicile district is.
    Column("aliases", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("operator", Text),
    Column("source", Text, nullable=False),
    CheckConstraint("kind IN ('mediation', 'station', 'department', 'bureau', 'platform')", name="kind"),
    CheckConstraint("valid_to >= valid_from", name="validity"),
    Index("ix_organisation_district", "kind", "district"),
    info=KEEP,
)
