"""The metadata all tables share, and the few column shapes they repeat."""

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Rights of the role `app` on a table, in Table.info; `triage migrate` grants them. Nothing deletes what was decided.
APPEND = {"app": "SELECT, INSERT"}
KEEP = {"app": "SELECT, INSERT, UPDATE"}
FREE = {"app": "SELECT, INSERT, UPDATE, DELETE"}


def uid() -> "Column[Any]":
    """Primary key, a time-ordered UUID made by the application: also the public id."""
    return Column("id", Uuid, primary_key=True)


def instant(name: str, *, nullable: bool = False, now: bool = False, index: bool = False) -> "Column[Any]":
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default, index=index)


def document(name: str, *, nullable: bool = False) -> "Column[Any]":
    return Column(name, JSONB, nullable=nullable)
