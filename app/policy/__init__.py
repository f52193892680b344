"""Which track, by which row, and why: pure, versioned, replayable.

A policy is data: rows of typed cells (the first row that matches wins, the last one matches everything), thresholds the
cells may name, gates and exclusions of each track, fall-backs, notes. The track is a proposal with gates: open and passed
gates keep it, only a failed gate or an exclusion falls back. No row here can refuse a complaint or mark a person.

A version is named by the hash of its content; from when it holds is said by its publication (app.drafting). The policy of
a place may be thresholds only: rows, gates and the other thresholds are then those of the wider jurisdiction.

language: what a policy is made of; content: content in, policy out; deciding: one fact sheet, one track; versions: which
holds where and when; proving: what it must not say, with fact sheets as proof; sheets: CSV and XLSX.
"""

from app.policy.content import Fault, content_hash, parse, read, read_facts, refused
from app.policy.deciding import decide, fallback, match, track_of
from app.policy.language import (
    CAUSES,
    DRAFT,
    FIELDS,
    LADDER,
    SIGNS,
    STATUSES,
    TERMINATE,
    TRACK_LABELS,
    Deadline,
    Decided,
    Facts,
    Fallback,
    Gate,
    Policy,
    Row,
    cite,
)
from app.policy.versions import chain_in_force, in_force, load, overlay, seed, stored, version_in_force

__all__ = [
    "CAUSES",
    "DRAFT",
    "FIELDS",
    "LADDER",
    "SIGNS",
    "STATUSES",
    "TERMINATE",
    "TRACK_LABELS",
    "Deadline",
    "Decided",
    "Facts",
    "Fallback",
    "Fault",
    "Gate",
    "Policy",
    "Row",
    "chain_in_force",
    "cite",
    "content_hash",
    "decide",
    "fallback",
    "in_force",
    "load",
    "match",
    "overlay",
    "parse",
    "read",
    "read_facts",
    "refused",
    "seed",
    "stored",
    "track_of",
    "version_in_force",
]
