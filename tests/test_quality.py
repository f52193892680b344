"""Quality is a test too: a planted corpus through the whole journey, judged against the truth it was planted with."""

from datetime import datetime

from sklearn.metrics import adjusted_mutual_info_score

from app.calendar import SHANGHAI
from app.intake import Complaint
from app.triage import House, receive_and_triage
from ml.evaluation import b_cubed
from ml.synthetic import generate

COUNT = 1200
END = datetime(2026, 10, 31, 18, 0, tzinfo=SHANGHAI)


async def test_people_and_incidents_are_found_in_a_planted_corpus(house: House) -> None:
    planted = generate(COUNT, 45, 2026, END)
    for p in planted:
        await receive_and_triage(house, "planted", Complaint.model_validate(p.body))
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT l.external_id, cm.complainant_id, im.incident_id, m.merchant_id, m.kind FROM letter l JOIN matter m ON m.letter_id = l.id "
            "AND m.sequence = 1 LEFT JOIN party p ON p.matter_id = m.id AND p.role IN ('filer', 'principal') "
            "LEFT JOIN complainant_membership cm ON cm.record_id = p.record_id LEFT JOIN incident_membership im ON im.matter_id = m.id"
        )
    of = {r["external_id"]: r for r in rows}
    assert len(of) == COUNT
    identified = [p for p in planted if of[p.body["external_id"]]["complainant_id"]]  # type: ignore[index]
    precision, recall = b_cubed([of[p.body["external_id"]]["complainant_id"] for p in identified], [p.person for p in identified])  # type: ignore[index]
    assert precision >= 0.985
    assert recall >= 0.95
    # A complaint that stands alone is an incident of its own.
    incidents = [of[p.body["external_id"]]["incident_id"] for p in planted]  # type: ignore[index]
    truth = [("i", p.incident) if p.incident is not None else ("s", p.person, p.merchant, p.issue) for p in planted]
    precision, recall = b_cubed(incidents, truth)
    assert precision >= 0.8
    assert recall >= 0.75
    labels = {value: n for n, value in enumerate(dict.fromkeys(truth))}
    assert adjusted_mutual_info_score([labels[t] for t in truth], [str(i) for i in incidents]) >= 0.6
    named = [p for p in planted if p.body.get("respondents") and of[p.body["external_id"]]["merchant_id"]]  # type: ignore[index]
    precision, recall = b_cubed([of[p.body["external_id"]]["merchant_id"] for p in named], [p.merchant for p in named])  # type: ignore[index]
    assert precision >= 0.97
    assert recall >= 0.75
