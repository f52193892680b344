"""A partner's own system, small and real: it is told by signed webhooks over TCP, reads its hand-overs with its token, and says how they stand."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

Works = Callable[["PartnerServer", dict[str, Any]], None]


class PartnerServer:
    """service: where the service answers. token, secret: what the service showed when it registered the partner, once it has. works: what it
    does with a hand-over it was sent, in a thread of its own, as a real one would work after answering.

    answers: HTTP codes for the next webhooks instead of taking them. taken: events with a good signature, each once by its webhook-id;
    doubles: those that came again; forged: how many had a bad one.
    """

    def __init__(self, service: str, works: Works | None = None) -> None:
        self.service, self.works = service, works
        self.token = self.secret = ""
        self.answers: list[int] = []
        self.taken: list[dict[str, Any]] = []
        self.read: list[dict[str, Any]] = []
        self.said: list[tuple[int, dict[str, Any]]] = []
        self.failures: list[BaseException] = []
        self.doubles = self.forged = 0
        self._seen: set[str] = set()
        self._busy: list[threading.Thread] = []
        self._port = 0
        self._http = httpx.Client(trust_env=False, verify=False, timeout=30)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook"

    @property
    def heard(self) -> list[str]:
        """The kinds of what it took, in the order the service numbered them: several are sent at once."""
        return [e["type"] for e in sorted(self.taken, key=lambda e: (e["data"]["matter_id"], e["data"]["sequence"]))]

    def start(self) -> None:
        """Again on the port it had, after a stop."""
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(partner._take(dict(self.headers), body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._running = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._running.start()

    def stop(self) -> None:
        """As if it were killed: the port is closed."""
        self._server.shutdown()
        self._server.server_close()
        self._running.join()

    def close(self) -> None:
        self.stop()
        self._http.close()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        if self.answers:
            return self.answers.pop(0)
        try:
            event = Webhook(self.secret).verify(body, {k.lower(): v for k, v in headers.items()})
        except WebhookVerificationError:
            self.forged += 1
            return 401
        name = next(v for k, v in headers.items() if k.lower() == "webhook-id")
        if name in self._seen:
            self.doubles += 1
            return 204
        self._seen.add(name)
        self.taken.append(event)
        if self.works and event["type"] == "handover.sent":
            thread = threading.Thread(target=self._work, args=(event["data"],), daemon=True)
            self._busy.append(thread)
            thread.start()
        return 204

    def _work(self, data: dict[str, Any]) -> None:
        try:
            assert self.works
            self.works(self, data)
        except BaseException as failure:
            self.failures.append(failure)

    def wait(self) -> None:
        """Until it has worked on all it was sent; what failed there fails here."""
        for thread in self._busy:
            thread.join(30)
            assert not thread.is_alive()
        if self.failures:
            raise self.failures[0]

    def get(self, handover_id: str) -> dict[str, Any]:
        answer = self._call("GET", f"/v1/handovers/{handover_id}")
        assert answer.status_code == 200, answer.text
        self.read.append(answer.json())
        return self.read[-1]

    def say(self, handover_id: str, status_id: str, state: str, **more: Any) -> tuple[int, dict[str, Any]]:
        body = {"status_id": status_id, "state": state, "as_of": datetime.now(UTC).isoformat(), **more}
        answer = self._call("POST", f"/v1/handovers/{handover_id}/status", json=body)
        self.said.append((answer.status_code, answer.json()))
        return self.said[-1]

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, self.service + path, headers={"Authorization": f"Bearer {self.token}"}, **more)
