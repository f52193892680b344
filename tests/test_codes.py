"""Codes as others read them: every label with its source, and an answer that need not be sent twice."""

from app import acts
from app.drawing import FORMS
from tests.conftest import Client

LISTS = {
    "goods", "problem", "demand", "issue", "state", "track", "outcome", "non_acceptance", "termination", "document", "channel", "kind", "queue",
    "district", "audience", "directory", "document_state", "record_type",
}  # fmt: skip


async def test_every_list_says_what_it_is_and_where_it_comes_from(client: Client) -> None:
    items = (await client.get("portal", "/v1/codes")).json()["items"]
    assert {i["list"] for i in items} >= LISTS
    assert [i["list"] for i in items] == sorted(i["list"] for i in items)
    for one in items:
        got = (await client.get("portal", f"/v1/codes/{one['list']}")).json()
        assert got["items"], one["list"]
        assert len({i["code"] for i in got["items"]}) == len(got["items"])
        assert all(i["name"] and i["source"] for i in got["items"]), one["list"]


async def test_modules_own_their_labels(client: Client) -> None:
    async def labels(name: str) -> dict[str, str]:
        return {i["code"]: i["name"] for i in (await client.get("mediator", f"/v1/codes/{name}")).json()["items"]}

    assert await labels("state") == acts.STATE_LABELS
    assert await labels("document") == {str(n): f.title for n, f in FORMS.items()}
    tracks = await labels("track")
    assert (tracks["t1"], tracks["emergency"]) == ("线上和解", "紧急处置")


async def test_grounds_carry_the_whole_sentence(client: Client) -> None:
    for name, count, last in (
        ("non_acceptance", 7, "法律、法规、规章规定不予受理的其他情形。"),
        ("termination", 8, "法律、法规、规章规定的应当终止调解的其他情形。"),
    ):
        items = (await client.get("mediator", f"/v1/codes/{name}")).json()["items"]
        assert len(items) == count
        assert all(i["text"] and "第" in i["basis"] for i in items)
        assert items[-1]["text"] == last


async def test_what_the_caller_has_is_not_sent_again(client: Client) -> None:
    for path in ("/v1/codes", "/v1/codes/goods", "/v1/codes/state", "/v1/codes/queue"):
        first = await client.get("portal", path)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = await client.get("portal", path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert (await client.get("portal", path, headers={"If-None-Match": '"x"'})).status_code == 200
    async with client.house.database.connection() as connection:
        await connection.execute("UPDATE code SET name = '新名称' WHERE list = 'goods' AND code = '食品'")
    changed = await client.get(
        "portal", "/v1/codes/goods", headers={"If-None-Match": (await client.get("portal", "/v1/codes")).headers["etag"]}
    )
    assert changed.status_code == 200
    assert "新名称" in changed.text


async def test_unknown_lists_and_callers(client: Client) -> None:
    assert (await client.get("portal", "/v1/codes/nothing")).status_code == 404
    assert (await client.http.get("/v1/codes")).status_code == 401
