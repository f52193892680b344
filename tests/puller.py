"""A mediator's client as another process, to be killed at any moment. Arguments: address, token, file, whether it looks for its work first.

Claims, renews and finishes until nothing is left for a while and its starter ends it; what the service said yes to goes to the file, an item's
id a line. Only the standard library: fifty of them start in no time.
"""

import http.client
import json
import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def call(address: str, token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """(0, None) where nobody answered."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(
            method, path, json.dumps(body) if body is not None else None, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        )  # fmt: skip
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()


def insist(address: str, token: str, path: str, body: Any) -> int:
    """Until there is a word of yes or no."""
    while True:
        status, _ = call(address, token, "POST", path, body)
        if 200 <= status < 500 and status != 429:
            return status
        time.sleep(0.2)


def main(address: str, token: str, file: Path, looks: bool) -> None:
    unsure = looks
    with file.open("a") as done:
        while True:
            if unsure:  # a claim of its own may have been granted without its knowing
                status, mine = call(address, token, "GET", "/v1/work-items?mine=true")
            else:
                status, mine = call(address, token, "POST", "/v1/queues/t1/claim", {"limit": 4, "lease_seconds": 30})
            if status != 200:
                unsure = looks
                time.sleep(0.2)
                continue
            if not mine["items"] and not unsure:
                time.sleep(0.3)
            unsure = False
            for item in mine["items"]:
                lease = {"lease_token": item["lease_token"]}
                if random.random() < 0.2:
                    insist(address, token, f"/v1/work-items/{item['id']}/renew", {**lease, "lease_seconds": 30})
                status = insist(address, token, f"/v1/work-items/{item['id']}/finish", {**lease, "outcome": "answered"})
                assert status in (200, 409), status
                if status == 200:
                    done.write(f"{item['id']}\n")
                    done.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] == "looks")
