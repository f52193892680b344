import json, pathlib, pytest
from tests import test_exam_cases as t

CASES = [json.loads(l) for l in pathlib.Path("/tmp/w/blind/cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in CASES])
async def test_case(case, house, tmp_path):
    await t.test_case(case, house, tmp_path)
