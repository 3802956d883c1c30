"""The control channel of a recording: where its socket lies, the messages on it, and their bounds.

Messages are JSON Lines over a unix socket that only its owner may use. The program that is recorded serves it; whoever
looks at the recording asks through it that the program goes back to an earlier state, or pauses its recording.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from unspool import system
from unspool.errors import UnspoolError
from unspool.files import make_folder

PROTOCOL: Final = 1
SUFFIX: Final = "-ctl"
LONGEST_PLACE: Final = 100
"""Bytes of a socket's path; the kernel takes 107, others 103."""
_LONGEST_NAME: Final = 37
"""Letters of a slash and the name of a socket."""
_PEER: Final = struct.Struct("3i")
LONGEST_LINE: Final = 64 << 10
"""Bytes of a message to the program."""
LONGEST_REPLY: Final = 256 << 10
"""Bytes of a message from the program."""
MOST_TEXTS: Final = 200
LONGEST_TEXT: Final = 200
MOST_INSTANCES: Final = 64
NOT_PUT_BACK: Final = "the program was not put back since it was started or last went back; `unspool jump FILE ENTRY` has it go on from an entry"
"""Why there is nowhere to go back to."""

Can = Literal["jump", "look", "skip", "pause", "resume", "dispatch"]
"""What a program can be asked for; `back` belongs to `jump` and `look`."""


class ControlUnavailable(UnspoolError):
    """No program serves the control channel of a recording, or it cannot be served."""


class TravelRefused(UnspoolError):
    """The program did not do what it was asked for; the message says why."""


Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
_Name = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
_Seqs = Annotated[tuple[Seq, ...], msgspec.Meta(max_length=1_000)]


class Instance(msgspec.Struct, frozen=True):
    """One running program, or one store of it, that a channel reaches.

    Attributes:
        id: its name in messages.
        name: what people call it.
        can: what it can be asked for.
        at: the entry that it was put back to, while nothing was recorded after it; None: it runs its newest state.
        looking: it was put there only to be looked at; `back` returns.
        paused: its recording is paused.
        troubles: why not all is recorded that happens now: `behind`, `capped`.
        pid: its process; 0 where that is the one that serves the channel, or not known.
    """

    id: str
    name: str = ""
    can: tuple[str, ...] = ()
    at: int | None = None
    looking: bool = False
    paused: bool = False
    troubles: tuple[str, ...] = ()
    pid: int = 0


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A message to the program.

    Attributes:
        id: chosen by whoever asks; stands in the answer.
        instance: which instance is meant; None where there is only one.
    """

    id: _Id = 0
    instance: _Name | None = None


class Jump(Command, frozen=True, kw_only=True, tag="jump"):
    """Go on from an entry: what is recorded next follows it."""

    seq: Seq


class Look(Command, frozen=True, kw_only=True, tag="look"):
    """Show an entry until `Back`."""

    seq: Seq


class Back(Command, frozen=True, kw_only=True, tag="back"):
    """Go on from where the program was before it was put back."""


class Pause(Command, frozen=True, kw_only=True, tag="pause"):
    """Record nothing until `Resume`; the program itself runs on."""


class Resume(Command, frozen=True, kw_only=True, tag="resume"):
    """Record again."""


class Skip(Command, frozen=True, kw_only=True, tag="skip"):
    """Go on as if the actions of some entries had not happened, or had after all."""

    seqs: _Seqs


class Dispatch(Command, frozen=True, kw_only=True, tag="dispatch"):
    """Hand an action to a store; its JSON is passed on as it is."""

    action: msgspec.Raw


Message = Jump | Look | Back | Pause | Resume | Skip | Dispatch


def needed_for(message: Message) -> tuple[str, ...]:
    """Return the abilities of which an instance must have one to be asked for this."""
    match message:
        case Back():
            return ("look", "jump")
        case Jump():
            return ("jump",)
        case Look():
            return ("look",)
        case Pause():
            return ("pause",)
        case Resume():
            return ("resume",)
        case Skip():
            return ("skip",)
        case Dispatch():
            return ("dispatch",)


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """The first line from the program."""

    protocol: int
    pid: int
    file: str
    instances: tuple[Instance, ...]


class Status(msgspec.Struct, frozen=True, tag="status", tag_field="type"):
    """All instances, whenever one of them changed, came or went."""

    instances: tuple[Instance, ...]


class Waiting(msgspec.Struct, frozen=True, tag="waiting", tag_field="type"):
    """Why an answer takes its time."""

    id: int
    why: str


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="type", omit_defaults=True):
    """What became of a command.

    Attributes:
        id: that of the command.
        ok: whether it was done.
        message: why not, or what is to be known of it.
        seq: the entry that the program runs now.
        changed: atoms, or paths, that were put back.
        kept: those left as they were, each with the reason.
        rebuilt: those for which new objects were made.
        refused: those that could not be put back, each with the reason.
    """

    id: int
    ok: bool
    message: str = ""
    seq: int | None = None
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


Reply = Hello | Status | Waiting | Answer

encode = msgspec.json.Encoder().encode
read_message = msgspec.json.Decoder(Message).decode
"""Reads one line to the program; raises `msgspec.MsgspecError`, or RecursionError for what nests without end."""
read_reply = msgspec.json.Decoder(Reply).decode
"""Reads one line from the program; raises likewise."""


def bounded_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts as they go over a channel: at most `MOST_TEXTS`, the last of which then says how many more there were."""
    all_texts = list(texts)
    found = [bounded_text(text) for text in all_texts[:MOST_TEXTS]]
    if len(all_texts) > MOST_TEXTS:
        found[-1] = f"… and {len(all_texts) - MOST_TEXTS + 1:,} more"
    return tuple(found)


def bounded_text(text: str, most: int = LONGEST_TEXT) -> str:
    """Return a text cut to a length, in which each character prints and none moves a cursor."""
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else "\ufffd" for sign in shown)


def control_places(file: str | os.PathLike[str]) -> list[Path]:
    """Return where the socket of a recording may lie, the place to try first in front.

    It lies beside the file. Where its path would be too long for a socket, or the folder takes none, it lies in the
    user's runtime folder, under a name made of the path.

    Args:
        file: the recording; links are followed, so that each name of it has the same channel.
    """
    real = os.path.realpath(file)
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    places = (Path(f"{real}{SUFFIX}"), runtime_folder() / f"{name}.ctl")
    return [place for place in places if len(os.fsencode(place)) <= LONGEST_PLACE]


def runtime_folder() -> Path:
    """Return the folder for sockets that have no place beside their file; it may not be there yet."""
    # Programs that were not started from a session have no such variable, and must find the same folder, also
    # with another version of ours.
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    user = Path("/run/user", str(system.user()))
    own = f"runtime-{system.user()}"
    if given.is_absolute():
        folders = [given / "unspool"]
    else:
        folders = [user / "unspool"] if user.is_dir() else [Path(tempfile.gettempdir(), own, "unspool")]
    # A folder so deep that no socket in it can be bound is of no use to anybody.
    folders.append(Path("/tmp", own, "unspool"))  # noqa: S108 - private, and its owner is checked
    return next((place for place in folders if len(os.fsencode(place)) <= LONGEST_PLACE - _LONGEST_NAME), folders[0])


def is_peer_of(taken: socket.socket, users: Collection[int]) -> bool:
    """Whether the other end of a connection runs for one of some users; where the system does not tell, the socket's mode has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _PEER.unpack(taken.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return uid in users


def make_runtime_folder(folder: Path) -> None:
    """Make the folder for sockets that have no place beside their file.

    Raises:
        ControlUnavailable: it is there, and not this user's own.
        OSError: it cannot be made.
    """
    make_folder(folder)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or not system.is_mine(status) or stat.S_IMODE(status.st_mode) & 0o077:
        raise ControlUnavailable(
            f"{folder}: not a folder that only you may enter; remove it, or set XDG_RUNTIME_DIR to one that is"
        )


__all__ = [
    "NOT_PUT_BACK",
    "Answer",
    "Back",
    "Can",
    "Command",
    "ControlUnavailable",
    "Dispatch",
    "Hello",
    "Instance",
    "Jump",
    "Look",
    "Message",
    "Pause",
    "Reply",
    "Resume",
    "Skip",
    "Status",
    "TravelRefused",
    "Waiting",
    "control_places",
    "is_peer_of",
    "make_runtime_folder",
    "runtime_folder",
]
