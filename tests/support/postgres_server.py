"""A private PostgreSQL server for tests: its own folder, a socket and no network."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from support.waiting import wait_until

_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql", "/usr/pgsql")
PASSWORD = "s3cret/word@x:1"


def why_not() -> str | None:
    """Return why no server can be started here, or None."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'unspool[postgres]')"
    if _binaries() is None:
        return "no PostgreSQL server is installed"
    if os.geteuid() == 0 and (_other_user() is None or shutil.which("setpriv") is None):
        return "PostgreSQL does not run as root, and there is no other user to run it as"
    return None


def _binaries() -> Path | None:
    found = [path.parent for place in _PLACES for path in Path(place).glob("**/bin/postgres")]
    found += [Path(place).parent for name in ("postgres",) if (place := shutil.which(name)) is not None]
    with_tools = [folder for folder in found if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]
    return max(with_tools, default=None)


def _other_user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


class Server:
    """A running server.

    Attributes:
        folder: where its socket is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        binaries = _binaries()
        assert binaries is not None
        self._binaries = binaries
        self._databases = 0

    def _run(self, *arguments: str) -> None:
        command = [str(self._binaries / arguments[0]), *arguments[1:]]
        if os.geteuid() == 0:
            user = _other_user()
            assert user is not None
            command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]
        subprocess.run(command, check=True, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C.UTF-8"})  # fmt: skip

    def make(self) -> None:
        """Make the cluster: users log in with a password."""
        if os.geteuid() == 0:
            user = _other_user()
            assert user is not None
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ("--auth=scram-sha-256", f"--pwfile={secret}", "--username=ada", "--no-sync", "--encoding=UTF8")
        self._run("initdb", "-D", str(self._data), *options)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=40"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.folder / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """Stop the server at once; whoever is connected is thrown out."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def freeze(self) -> None:
        """Stop all of the server's processes where they are."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of the server's processes, as a crash of the machine would."""
        processes = self._signal(signal.SIGKILL)
        wait_until(lambda: not any(_is_alive(pid) for pid in processes), "the end of the server")
        # Where nobody takes note of its end, its number stays taken, and a new server would believe that it runs.
        for place in (self._data / "postmaster.pid", self.folder / ".s.PGSQL.5432.lock"):
            place.unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> list[int]:
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(main, signal.SIGSTOP)
        processes = [main, *_children(main)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return processes

    def address(self, database: str = "postgres", **options: str) -> str:
        """Return the address of a database."""
        query = "&".join(
            f"{key}={quote(value, safe='')}" for key, value in {"host": str(self.folder), **options}.items()
        )
        return f"postgresql://ada:{quote(PASSWORD, safe='')}@/{database}?{query}"

    def new_database(self, place: Path | None = None) -> str:
        """Make a database and return its name; its tables lie in a folder of the server's when one is given."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.address(), autocommit=True) as connection:
            if place is not None:
                connection.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
            connection.execute(f"CREATE DATABASE {name}" + (f" TABLESPACE {name}" if place is not None else ""))
        return name

    def give(self, folder: Path) -> None:
        """Let the server write to a folder."""
        user = _other_user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)

    def take_writes(self, does: bool) -> None:
        """Let the server take what is written to it, or refuse all of it, in sessions that are open too."""
        import psycopg

        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self.address(options=options), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if does else 'on'}")
            connection.execute("SELECT pg_reload_conf()")


def _children(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a process may hold blanks; it ends at the last bracket.
            if int(place.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(place.parent.name))
    return found


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run a server in a folder, which must have a short name: sockets allow about a hundred characters."""
    server = Server(folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
