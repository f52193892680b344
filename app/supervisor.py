"""The processes of `triage serve`: web processes on one socket and a worker, restarted when they die, gone when we do."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.errors import Unavailable

_PARENT = "TRIAGE_SUPERVISOR"
_GRACE_SECONDS = 15


def orphaned() -> bool:
    """True for a child whose supervisor died before the kernel was told to watch it."""
    parent = os.environ.get(_PARENT)
    return parent is not None and int(parent) != os.getppid()


@dataclass
class _Child:
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    delay: float = 0.5


@dataclass
class Supervisor:
    """environment carries what children need and nothing else knows (the bundled database's URL)."""

    environment: dict[str, str]
    children: list[_Child] = field(default_factory=list)
    _stopping: bool = False

    def add(self, command: Sequence[str]) -> None:
        self.children.append(_Child(command))

    def run(self, listener: socket.socket, *, look_after: Callable[[], None] = lambda: None) -> None:
        """Until SIGINT or SIGTERM. Children that die are started again, later each time they die young. look_after is
        called several times a second, for what else must live."""
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        for child in self.children:
            self._start(child, listener)
        while not self._stopping:
            for child in self.children:
                if child.process is not None and child.process.poll() is not None and not self._stopping:
                    young = time.monotonic() - child.started_at < 10
                    child.delay = min(child.delay * 2, 30) if young else 0.5
                    child.process, child.started_at = None, time.monotonic() + child.delay
                elif child.process is None and time.monotonic() >= child.started_at:
                    self._start(child, listener)
            look_after()
            time.sleep(0.2)
        self._end()

    def _start(self, child: _Child, listener: socket.socket) -> None:
        child.process = subprocess.Popen(
            # The kernel ends a child with us, even by SIGKILL; from its first instruction on.
            ["setpriv", "--pdeathsig", "TERM", *child.command, "--fd", str(listener.fileno())],
            env={**self.environment, _PARENT: str(os.getpid())}, pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C reaches us alone; we tell the children in order
        )  # fmt: skip
        child.started_at = time.monotonic()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _end(self) -> None:
        living = [c.process for c in self.children if c.process is not None]
        for process in living:
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in living:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted sockets inherit it; a loop that gets the listener as a bare descriptor does not set it, and every
    # answer would wait 40 ms for a delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(f"can't listen on {host}:{port}: {error.strerror}; set PORT") from None
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener
