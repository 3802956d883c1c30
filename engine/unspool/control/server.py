"""The program's end of a control channel: one thread that sleeps while nobody asks for anything."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from unspool import system
from unspool.control.channel import (
    LONGEST_LINE,
    LONGEST_REPLY,
    MOST_INSTANCES,
    PROTOCOL,
    SUFFIX,
    Answer,
    ControlUnavailable,
    Hello,
    Instance,
    Message,
    Reply,
    Status,
    Waiting,
    bounded_text,
    bounded_texts,
    control_places,
    encode,
    is_peer_of,
    make_runtime_folder,
    needed_for,
    read_message,
)

MOST_PEERS: Final = 8
MOST_OPEN: Final = 16
"""Commands of one peer that wait for an answer."""
_CHUNK: Final = 16 << 10
_PATIENCE_S: Final = 0.5
"""Seconds that are waited for whoever may serve a socket that is there already."""
_CLOSING_S: Final = 2.0
_NO_PLACE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP, errno.ENOENT, errno.ENAMETOOLONG)
"""Why a folder takes no socket, though another one may."""
_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
"""Signals that belong to the thread which caused them."""
_SEND_FLAGS: Final = getattr(socket, "MSG_NOSIGNAL", 0)


class Request:
    """A command that waits for its answer. It may be answered from any thread, once; answers after that go nowhere.

    Attributes:
        message: what is asked for.
        instance: whom it is asked of.
    """

    __slots__ = ("_is_answered", "_peer", "_server", "instance", "message")

    def __init__(self, server: ControlServer, peer: _Peer, message: Message, instance: Instance) -> None:
        self.message = message
        self.instance = instance
        self._server = server
        self._peer = peer
        self._is_answered = False

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self._is_answered and not self._peer.is_gone

    def waiting(self, why: str) -> None:
        """Report why the answer takes its time."""
        if self.is_open:
            self._server._send(self._peer, Waiting(self.message.id, bounded_text(why)))

    def answer(
        self,
        *,
        seq: int | None = None,
        changed: Iterable[str] = (),
        kept: Iterable[str] = (),
        rebuilt: Iterable[str] = (),
        refused: Iterable[str] = (),
        message: str = "",
    ) -> None:
        """Report that the command was done; see `Answer`."""
        lists = (bounded_texts(changed), bounded_texts(kept), bounded_texts(rebuilt), bounded_texts(refused))
        self._finish(Answer(self.message.id, True, bounded_text(message, 1_000), seq, *lists))

    def refuse(self, message: str) -> None:
        """Report that the command was not done, and why."""
        self._finish(Answer(self.message.id, False, bounded_text(message, 1_000)))

    def _finish(self, answer: Answer) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        self._server._send(self._peer, answer, closes=self)


class ControlServer:
    """Serves the control channel of one recording.

    All work is done in a thread of its own. What other threads ask for is put in a queue without a lock, so that a
    recorder may do it anywhere, in signal handlers too.

    Attributes:
        place: the socket.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        instances: Iterable[Instance],
        handle: Callable[[Request], None],
    ) -> None:
        """Open the channel and serve it.

        Args:
            file: the recording.
            instances: who can be reached at first.
            handle: called in the server's thread with each command that its instance can do; must return at once.

        Raises:
            ControlUnavailable: another program serves it, or there is no place for its socket.
        """
        self._file = os.path.realpath(file)
        self._handle = handle
        self._instances = {instance.id: instance for instance in instances}
        self._todo: deque[Callable[[], None]] = deque()
        self._peers: set[_Peer] = set()
        self._is_closing = False
        self._owner = os.getpid()
        self._thread = threading.Thread(target=self._run, name="unspool-control", daemon=True)
        self._listening, self.place, self._inode = _listen(self._file)
        with ExitStack() as undo:
            undo.callback(_remove, self.place, self._inode)
            undo.callback(self._listening.close)
            try:
                self._begin(undo)
            except (OSError, RuntimeError) as error:
                # No descriptor is left, or no thread.
                raise ControlUnavailable(f"{self.place}: the control channel cannot be served ({error})") from None
            undo.pop_all()

    def _begin(self, undo: ExitStack) -> None:
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            undo.callback(end.close)
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        undo.callback(self._selector.close)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain_wakes)
        self._thread.start()

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Who can be reached now."""
        return tuple(self._instances.values())

    def update(self, instance: Instance) -> None:
        """Add an instance, or replace the one of the same id; all peers are informed. For any thread."""
        self._do(partial(self._put, instance))

    def remove(self, instance_id: str) -> None:
        """Take an instance away; all peers are informed. For any thread."""
        self._do(partial(self._take_away, instance_id))

    def close(self) -> None:
        """Refuse what waits, end the thread and remove the socket; closing twice is fine."""
        if self._owner != os.getpid() or self._is_closing:
            return
        self._is_closing = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSING_S)
        _remove(self.place, self._inode)

    def after_fork(self) -> None:
        """Let go of everything in a forked child; the parent goes on serving."""
        self._is_closing = True
        self._selector.close()
        for end in (self._listening, self._woken, self._waker, *(peer.socket for peer in self._peers)):
            end.close()

    def _do(self, work: Callable[[], None]) -> None:
        self._todo.append(work)
        self._wake()

    def _wake(self) -> None:
        # A full buffer wakes it as well; a closed one has nobody to wake.
        with suppress(OSError):
            self._waker.send(b"\0")

    def _send(self, peer: _Peer, reply: Reply, closes: Request | None = None) -> None:
        self._do(partial(self._put_out, peer, reply, closes))

    def _run(self) -> None:
        # Signals are for the threads of the app: one that waits for them must be the one that is interrupted.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
        try:
            while not self._is_closing:
                for key, events in self._selector.select():
                    key.data(events)
                self._work()
        finally:
            self._end()

    def _work(self) -> None:
        while self._todo:
            self._todo.popleft()()

    def _end(self) -> None:
        self._work()
        for peer in list(self._peers):
            for request in list(peer.open):
                self._put_out(
                    peer, Answer(request.message.id, False, "the program stopped serving this recording"), None
                )
            self._drop(peer)
        self._selector.close()
        for end in (self._listening, self._woken, self._waker):
            end.close()

    def _drain_wakes(self, events: int) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_CHUNK)

    def _put(self, instance: Instance) -> None:
        if self._instances.get(instance.id) == instance:
            return
        if instance.id in self._instances or len(self._instances) < MOST_INSTANCES:
            self._instances = {**self._instances, instance.id: instance}
            self._inform()

    def _take_away(self, instance_id: str) -> None:
        if instance_id in self._instances:
            self._instances = {name: held for name, held in self._instances.items() if name != instance_id}
            self._inform()

    def _inform(self) -> None:
        for peer in list(self._peers):
            if peer.unsent:
                # It gets the newest status once it read what it has.
                peer.wants_status = True
            else:
                self._put_out(peer, Status(self.instances), None)

    def _accept(self, events: int) -> None:
        try:
            taken, _ = self._listening.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is free: the peer stays in line, and is not to be asked about without end.
            time.sleep(_PATIENCE_S)
            return
        taken.setblocking(False)
        peer = _Peer(taken)
        if not is_peer_of(taken, (os.geteuid(), 0)):
            taken.close()
            return
        if len(self._peers) >= MOST_PEERS:
            reply = encode(Answer(-1, False, f"{MOST_PEERS} others are connected already; close one of them"))
            with suppress(OSError):
                taken.send(reply + b"\n", _SEND_FLAGS)
            taken.close()
            return
        self._peers.add(peer)
        self._selector.register(taken, selectors.EVENT_READ, partial(self._serve, peer))
        self._put_out(peer, Hello(PROTOCOL, os.getpid(), self._file, self.instances), None)

    def _serve(self, peer: _Peer, events: int) -> None:
        if peer.is_gone:
            return
        if events & selectors.EVENT_WRITE:
            self._flush(peer)
        if events & selectors.EVENT_READ and not peer.is_gone:
            try:
                data = peer.socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(peer)
                return
            peer.received += data
            self._read(peer)

    def _read(self, peer: _Peer) -> None:
        *lines, rest = peer.received.split(b"\n")
        peer.received = rest
        for line in lines:
            if peer.is_gone:
                return
            self._take(peer, bytes(line))
        if len(peer.received) > LONGEST_LINE:
            self._reject(peer, f"a line of more than {LONGEST_LINE >> 10} kB")

    def _take(self, peer: _Peer, line: bytes) -> None:
        if len(line) > LONGEST_LINE:
            self._reject(peer, f"a line of more than {LONGEST_LINE >> 10} kB")
            return
        try:
            message = read_message(line)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self._reject(peer, f"not a command ({error})")
            return
        if len(peer.open) >= MOST_OPEN:
            self._refuse(peer, message, f"{MOST_OPEN} commands of yours wait already")
            return
        found = self._instances.get(message.instance) if message.instance is not None else self._only_instance()
        if found is None:
            names = ", ".join(self._instances) or "none"
            self._refuse(peer, message, f"say which instance; there are: {names}")
        elif not set(needed_for(message)) & set(found.can):
            can = ", ".join(found.can) or "do nothing that can be asked for"
            self._refuse(peer, message, f"{found.name or found.id} cannot do that; it can {can}")
        else:
            request = Request(self, peer, message, found)
            peer.open.add(request)
            try:
                self._handle(request)
            except Exception as error:  # noqa: BLE001 - whatever the program's own code raises refuses this command only
                request.refuse(f"the program failed at it: {type(error).__name__}")

    def _only_instance(self) -> Instance | None:
        return next(iter(self._instances.values())) if len(self._instances) == 1 else None

    def _refuse(self, peer: _Peer, message: Message, why: str) -> None:
        self._put_out(peer, Answer(message.id, False, bounded_text(why, 1_000)), None)

    def _reject(self, peer: _Peer, why: str) -> None:
        self._put_out(peer, Answer(-1, False, bounded_text(why, 1_000)), None)
        self._drop(peer)

    def _put_out(self, peer: _Peer, reply: Reply, closes: Request | None) -> None:
        if closes is not None:
            peer.open.discard(closes)
        if peer.is_gone:
            return
        peer.unsent += encode(reply) + b"\n"
        self._flush(peer)
        if len(peer.unsent) > LONGEST_REPLY:
            # It asks and never reads.
            self._drop(peer)

    def _flush(self, peer: _Peer) -> None:
        try:
            sent = peer.socket.send(peer.unsent, _SEND_FLAGS) if peer.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(peer)
            return
        del peer.unsent[:sent]
        if not peer.unsent and peer.wants_status:
            peer.wants_status = False
            self._put_out(peer, Status(self.instances), None)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        if wanted != peer.events:
            peer.events = wanted
            self._selector.modify(peer.socket, wanted, partial(self._serve, peer))

    def _drop(self, peer: _Peer) -> None:
        if not peer.is_gone:
            peer.is_gone = True
            peer.open.clear()
            self._peers.discard(peer)
            self._selector.unregister(peer.socket)
            peer.socket.close()


class _Peer:
    """Whoever is connected; touched by the server's thread only, but for `is_gone`, which others read."""

    def __init__(self, taken: socket.socket) -> None:
        self.socket = taken
        self.received = bytearray()
        self.unsent = bytearray()
        self.open: set[Request] = set()
        self.events = selectors.EVENT_READ
        self.is_gone = False
        self.wants_status = False


def _listen(file: str) -> tuple[socket.socket, Path, tuple[int, int]]:
    """Open the socket of a recording in the first place that takes it; return it with its place and its inode."""
    refusal: OSError | None = None
    try:
        places = control_places(file)
    except OSError as error:
        raise ControlUnavailable(f"{file}: no place for a control socket ({error})") from None
    for place in places:
        try:
            if not place.name.endswith(SUFFIX):
                make_runtime_folder(place.parent)
            listening = _bound(place)
        except OSError as error:
            if error.errno not in _NO_PLACE:
                raise ControlUnavailable(f"{place}: no control socket ({error.strerror})") from None
            refusal = error
            continue
        status = place.lstat()
        return listening, place, (status.st_dev, status.st_ino)
    why = "the paths are too long" if refusal is None else str(refusal.strerror)
    raise ControlUnavailable(
        f"{file}: no place for a control socket ({why}); record to a folder of this machine, or set XDG_RUNTIME_DIR"
    )


def _bound(place: Path) -> socket.socket:
    system.require_local_sockets("a program that can be put back")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listening.bind(os.fspath(place))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(place)
            listening.bind(os.fspath(place))
        # Nobody can connect before `listen`, so the umask does not matter.
        place.chmod(0o600)
        listening.listen(MOST_PEERS)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(place: Path) -> None:
    """Remove the socket of a program that was killed.

    Raises:
        ControlUnavailable: a program serves it, or it is no socket.
    """
    if not stat.S_ISSOCK(place.lstat().st_mode):
        raise ControlUnavailable(f"{place}: there is something that is no control socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(os.fspath(place))
        except ConnectionRefusedError:
            place.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError:
            # Its line is full, or it is of another kind: somebody is there.
            pass
    raise ControlUnavailable(f"{place}: another program serves this recording; stop that one first")


def remove_left_behind(file: str | os.PathLike[str]) -> None:
    """Remove the control sockets of a recording that killed programs left; one that is served stays."""
    with suppress(OSError):
        for place in control_places(file):
            with suppress(OSError, ControlUnavailable):
                _remove_stale(place)


def _remove(place: Path, inode: tuple[int, int]) -> None:
    """Remove a socket unless another one has its name by now."""
    with suppress(OSError):
        status = place.lstat()
        if (status.st_dev, status.st_ino) == inode:
            place.unlink()


__all__ = ["MOST_OPEN", "MOST_PEERS", "ControlServer", "Request", "remove_left_behind"]
