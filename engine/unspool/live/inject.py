"""Having a running Python program run a line of Python, without its help: Linux on x86-64.

The main thread is stopped for about a millisecond. It makes one page, in which the line is put, and calls
`Py_AddPendingCall(PyRun_SimpleString, line)`, which is made for being called at any point: the interpreter runs the line
between two of its instructions. All registers are then put back as they were, whatever their size: debuggers older than the
processor cannot do that, and a program that they let go of in the middle dies.

No memory of the program is allocated by its own functions: whatever they were in the middle of stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from unspool.errors import UnspoolError

_SEIZE, _INTERRUPT, _CONT, _STEP, _DETACH = 0x4206, 0x4207, 7, 9, 17
_GETREGS, _SETREGS, _GETREGSET, _SETREGSET = 12, 13, 0x4204, 0x4205
_XSTATE: Final = 0x202
_WALL: Final = 0x40000000
_MOST_XSTATE: Final = 64 * 1024
_REGISTERS: Final = struct.Struct("27Q")
_NAMES: Final = [
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "orig_rax",
    "rip",
    "cs",
    "eflags",
    "rsp",
    "ss",
    "fs_base",
    "gs_base",
    "ds",
    "es",
    "fs",
    "gs",
]
_SYSCALL: Final = b"\x0f\x05"
_MMAP, _MUNMAP = 9, 11
_PAGE: Final = 4096
_RED_ZONE: Final = 256
"""Bytes below the stack pointer that belong to the function that was stopped, and some more."""
_NONE: Final = (1 << 64) - 1
_LARGEST_ERROR: Final = 4095
_PATIENCE_S: Final = 2.0
_BETWEEN_TRIES_S: Final = 0.003
_TRIES: Final = 15
"""Times that a moment is waited for in which the main thread is in the kernel, where it is in the middle of nothing."""
_MOST_SYMBOLS: Final = 1_000_000
_MOST_ELF: Final = 256 * 1024 * 1024


class NotInjected(UnspoolError):
    """A program that cannot be reached into; the message names the remedy."""


class Library:
    """The file that holds the interpreter of a process, and where in its memory it lies.

    Attributes:
        symbols: addresses of its functions in the process.
    """

    def __init__(self, pid: int) -> None:
        """Find it.

        Raises:
            NotInjected: there is none, or it tells no names.
        """
        for path, start in _mapped_files(pid):
            name = path.rpartition("/")[2]
            if "python" not in name and path != _exe_of(pid):
                continue
            try:
                found = _symbols(Path(f"/proc/{pid}/root{path}"), start)
            except (OSError, struct.error, ValueError, UnicodeDecodeError):
                continue
            if "Py_AddPendingCall" in found and "PyRun_SimpleString" in found:
                self.symbols = found
                return
        raise NotInjected(
            f"process {pid} is no Python program whose functions can be found: it is another language, or built without their "
            "names; start it with `unspool run` instead"
        )

    def version(self, pid: int) -> tuple[int, int]:
        """Return the version of the interpreter, as far as it tells; 3.10 for whatever is older than 3.11."""
        address = self.symbols.get("Py_Version")
        if address is None:
            return 3, 10
        with _memory(pid, "rb") as memory:
            memory.seek(address)
            (number,) = struct.unpack("<Q", memory.read(8))
        return number >> 24 & 0xFF, number >> 16 & 0xFF


def _mapped_files(pid: int) -> Iterator[tuple[str, int]]:
    """Yield each file that a process has mapped from its beginning, with the address."""
    seen = set()
    for line in Path(f"/proc/{pid}/maps").read_text(errors="surrogateescape").splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].startswith("/") and int(parts[2], 16) == 0 and parts[5] not in seen:
            seen.add(parts[5])
            yield parts[5].removesuffix(" (deleted)"), int(parts[0].partition("-")[0], 16)


def _exe_of(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    return ""


def _symbols(file: Path, start: int) -> dict[str, int]:
    """Return the addresses of what a shared library, or a program, lets others call.

    Args:
        file: an ELF file of 64 bits.
        start: where its first bytes lie in memory.

    Raises:
        ValueError: it is none.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(64)
        if head[:6] != b"\x7fELF\x02\x01" or size > _MOST_ELF:
            raise ValueError("no ELF file of 64 bits")
        program_at, section_at = struct.unpack_from("<QQ", head, 32)
        program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", head, 54)
        stream.seek(program_at)
        programs = stream.read(program_size * program_count)
        base = next(
            vaddr - offset
            for kind, _, offset, vaddr in struct.iter_unpack(f"<IIQQ{program_size - 24}x", programs)
            if kind == 1
        )
        stream.seek(section_at)
        sections = list(struct.iter_unpack("<IIQQQQIIQQ", stream.read(section_size * section_count)))
        for _, kind, _, _, offset, length, link, _, _, entry in sections:
            if kind != 11 or not entry or length // entry > _MOST_SYMBOLS:
                continue
            stream.seek(offset)
            table = stream.read(length)
            stream.seek(sections[link][4])
            names = stream.read(sections[link][5])
            return {
                names[name : names.index(b"\0", name)].decode(): start - base + value
                for name, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", table)
                if section and value
            }
    raise ValueError("it tells no names")


@contextmanager
def _memory(pid: int, mode: str) -> Iterator[_Memory]:
    with open(f"/proc/{pid}/mem", mode, buffering=0) as stream:  # noqa: PTH123 - unbuffered, at addresses
        yield stream  # type: ignore[misc]


class _Memory:
    """What is used of an open file."""

    def seek(self, address: int) -> int:
        raise NotImplementedError

    def read(self, size: int) -> bytes:
        raise NotImplementedError

    def write(self, data: bytes) -> int:
        raise NotImplementedError


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Stopped:
    """A thread that is stopped, with all its registers as they were."""

    def __init__(self, pid: int) -> None:
        """Stop the main thread of a process, if that can be at a moment in which it is in the kernel.

        Raises:
            NotInjected: it cannot be stopped.
        """
        self.pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self._libc.ptrace.restype = ctypes.c_long
        self._held: list[int] = []
        self._is_stopped = False
        self._ptrace(_SEIZE, 0, 0)
        try:
            for attempt in range(_TRIES):
                self._ptrace(_INTERRUPT, 0, 0)
                self._wait()
                self.registers = self._read_registers()
                if self.registers["orig_rax"] != _NONE or attempt == _TRIES - 1:
                    break
                self._ptrace(_CONT, 0, 0)
                self._is_stopped = False
                time.sleep(_BETWEEN_TRIES_S)
            self._xstate = self._read_xstate()
        except BaseException:
            self.let_go()
            raise

    def _ptrace(self, request: int, address: int, data: int) -> None:
        if self._libc.ptrace(request, self.pid, address, data) < 0:
            error = ctypes.get_errno()
            raise NotInjected(
                f"process {self.pid} cannot be stopped ({os.strerror(error)}); look whether it still runs"
            )

    def _wait(self) -> int:
        """Return the signal with which the thread stopped.

        Raises:
            NotInjected: it does not, or it ended.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG | _WALL)
            if found:
                break
            if time.monotonic() > deadline:
                raise NotInjected(f"process {self.pid} does not stop; it waits for a device: try again later")
            time.sleep(0.0002)
        if not os.WIFSTOPPED(status):
            raise NotInjected(f"process {self.pid} ended meanwhile")
        self._is_stopped = True
        return os.WSTOPSIG(status) if status >> 16 == 0 else 0

    def _read_registers(self) -> dict[str, int]:
        buffer = ctypes.create_string_buffer(_REGISTERS.size)
        self._ptrace(_GETREGS, 0, ctypes.addressof(buffer))
        return dict(zip(_NAMES, _REGISTERS.unpack(buffer.raw), strict=True))

    def _write_registers(self, registers: dict[str, int]) -> None:
        buffer = ctypes.create_string_buffer(_REGISTERS.pack(*(registers[name] for name in _NAMES)))
        self._ptrace(_SETREGS, 0, ctypes.addressof(buffer))

    def _read_xstate(self) -> bytes:
        buffer = ctypes.create_string_buffer(_MOST_XSTATE)
        vector = _Iovec(ctypes.addressof(buffer), _MOST_XSTATE)
        self._ptrace(_GETREGSET, _XSTATE, ctypes.addressof(vector))
        return buffer.raw[: vector.length]

    def restore(self) -> None:
        """Put all registers back as they were.

        Raises:
            NotInjected: the thread is gone.
        """
        if not self._is_stopped:
            # A call that did not return in time.
            self._ptrace(_INTERRUPT, 0, 0)
            self._wait()
        buffer = ctypes.create_string_buffer(self._xstate, len(self._xstate))
        vector = _Iovec(ctypes.addressof(buffer), len(self._xstate))
        self._ptrace(_SETREGSET, _XSTATE, ctypes.addressof(vector))
        self._write_registers(self.registers)

    def let_go(self) -> None:
        """Have the thread go on; signals that came meanwhile are sent again."""
        with suppress(NotInjected):
            if not self._is_stopped:
                self._ptrace(_INTERRUPT, 0, 0)
                self._wait()
            self._ptrace(_DETACH, 0, 0)
        for number in self._held:
            with suppress(OSError):
                os.kill(self.pid, number)

    def system_call(self, number: int, *arguments: int) -> int:
        """Have the thread ask the kernel for something.

        Raises:
            NotInjected: the kernel refuses.
        """
        names = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
        padded = (*arguments, *(0,) * (len(names) - len(arguments)))
        given = dict(zip(names, padded, strict=True))
        self._write_registers(
            {**self.registers, **given, "rax": number, "orig_rax": _NONE, "rip": self._syscall_instruction()}
        )
        self._ptrace(_STEP, 0, 0)
        self._is_stopped = False
        while (came := self._wait()) != signal.SIGTRAP:
            self._hold(came)
            self._ptrace(_STEP, 0, 0)
        result = self._read_registers()["rax"]
        if result > _NONE - _LARGEST_ERROR:
            raise NotInjected(f"process {self.pid}: the kernel refuses ({os.strerror(_NONE - result + 1)})")
        return result

    def _hold(self, number: int) -> None:
        if number:
            self._held.append(number)

    def _syscall_instruction(self) -> int:
        before = self.registers["rip"] - len(_SYSCALL)
        if self.read(before, len(_SYSCALL)) == _SYSCALL:
            return before
        for line in Path(f"/proc/{self.pid}/maps").read_text(errors="surrogateescape").splitlines():
            span, rights, *rest = line.split(maxsplit=5)
            if "x" not in rights or not any(name in rest[-1] for name in ("[vdso]", "libc", "musl")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            place = self.read(start, min(end - start, 4 << 20)).find(_SYSCALL)
            if place >= 0:
                return start + place
        raise NotInjected(f"process {self.pid}: no way into the kernel is found; start it with `unspool run` instead")

    def read(self, address: int, size: int) -> bytes:
        """Return memory of the process."""
        with _memory(self.pid, "rb") as memory:
            memory.seek(address)
            return memory.read(size)

    def write(self, address: int, data: bytes) -> None:
        """Put something into memory of the process."""
        with _memory(self.pid, "wb") as memory:
            memory.seek(address)
            memory.write(data)

    def call(self, function: int, first: int, second: int, back: int) -> int:
        """Have the thread call a function.

        Args:
            function: its address.
            first, second: its arguments.
            back: where it returns to: a place that holds no code, so that the thread stops there.

        Returns:
            The lower 32 bits of what it returns, as a signed number.

        Raises:
            NotInjected: it does not return.
        """
        stack = ((self.registers["rsp"] - _RED_ZONE) & ~0xF) - 8
        self.write(stack, struct.pack("<Q", back))
        self._write_registers(
            {
                **self.registers,
                "rdi": first,
                "rsi": second,
                "rax": 0,
                "orig_rax": _NONE,
                "rip": function,
                "rsp": stack,
            }
        )
        self._ptrace(_CONT, 0, 0)
        self._is_stopped = False
        while True:
            came = self._wait()
            now = self._read_registers()
            if came == signal.SIGSEGV and now["rip"] == back:
                return ctypes.c_int32(now["rax"] & 0xFFFFFFFF).value
            if came in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL):
                raise NotInjected(
                    f"process {self.pid}: its interpreter cannot be called; start it with `unspool run` instead"
                )
            self._hold(came)
            self._ptrace(_CONT, 0, 0)
            self._is_stopped = False


class Injection:
    """A line of Python in a page of a process.

    Attributes:
        stopped_s: how long the main thread stood still.
    """

    def __init__(self, pid: int, library: Library, line: str) -> None:
        """Have a process run a line as soon as its main thread runs Python.

        Args:
            pid: the process.
            library: its interpreter.
            line: what is run, in `__main__`.

        Raises:
            NotInjected: it cannot be reached into; it is as it was.
        """
        if platform.machine() != "x86_64":
            raise NotInjected(
                f"a running program can be reached into on x86-64 only, not {platform.machine()}; use `unspool run`"
            )
        self._pid = pid
        data = line.encode() + b"\0"
        self._size = -(-len(data) // _PAGE) * _PAGE
        thread = _Stopped(pid)
        began = time.monotonic()
        try:
            self._page = thread.system_call(_MMAP, 0, self._size, 3, 0x22, _NONE, 0)
            thread.write(self._page, data)
            add, run = library.symbols["Py_AddPendingCall"], library.symbols["PyRun_SimpleString"]
            if thread.call(add, run, self._page, self._page) != 0:
                raise NotInjected(f"process {pid}: its interpreter has too much to do; try again")
        finally:
            try:
                thread.restore()
            finally:
                thread.let_go()
                self.stopped_s = time.monotonic() - began

    def remove(self) -> None:
        """Free the page, where the process is still there; only once the line has run."""
        with suppress(NotInjected, OSError):
            thread = _Stopped(self._pid)
            try:
                thread.system_call(_MUNMAP, self._page, self._size)
            finally:
                try:
                    thread.restore()
                finally:
                    thread.let_go()


__all__ = ["Injection", "Library", "NotInjected"]
