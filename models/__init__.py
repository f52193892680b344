"""Tables, one file per aggregate. Nouns only: no behaviour, no session."""

from models import (
    callback,
    complainant,
    contact,
    delivery,
    directory,
    document,
    incident,
    letter,
    matter,
    merchant,
    partner,
    policy,
    system,
    work,
)
from models.base import metadata

__all__ = [
    "callback",
    "complainant",
    "contact",
    "delivery",
    "directory",
    "document",
    "incident",
    "letter",
    "matter",
    "merchant",
    "metadata",
    "partner",
    "policy",
    "system",
    "work",
]
