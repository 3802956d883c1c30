"""The doctor decodes what entries store: nothing is healthy that cannot be read."""

from pathlib import Path

import pytest
from health_damage import ask, live, rewrite_tail

from unspool.codec.records import AtomWrite, Form, encode_delta
from unspool.model.encoding import encode
from unspool.query.doctor.diagnosis import Health, diagnose
from unspool_tui.cli import run

# A date of the thirteenth month, a text that is no UTF-8, and a list that ends early.
UNREADABLE = [b"\xc7\x0a\x052024-13-01", b"\xa1\xff", b"\x92\x01"]


def file_with(path: Path, form: bytes) -> Path:
    live(path, [{"tick": n, "rare": "new" if n >= 6 else "old"} for n in range(12)], strategy="changes:8")
    names = [name.decode() for _, name in ask(path, "SELECT id, name FROM atom ORDER BY id")]
    writes = [AtomWrite("tick", Form.VALUE, encode(6)), AtomWrite("rare", Form.VALUE, form)]
    rewrite_tail(path, 6, record=encode_delta(writes, names.index))
    return path


@pytest.mark.parametrize("form", UNREADABLE)
def test_a_value_that_does_not_decode_is_found(tmp_path: Path, form: bytes) -> None:
    path = file_with(tmp_path / "x.unspool", form)
    diagnosis = diagnose(path)
    assert diagnosis.verdict is Health.BROKEN
    found = [finding for finding in diagnosis.findings if "'rare' does not decode" in finding.meaning]
    assert [finding.place for finding in found] == ["entry 6"]


def test_what_is_not_decoded_is_said_and_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_with(tmp_path / "x.unspool", UNREADABLE[0])
    few = diagnose(path, values=8)
    assert few.decoded
    assert few.undecoded
    assert not [finding for finding in few.findings if "does not decode" in finding.meaning]
    every = diagnose(path, values=None)
    assert (every.decoded, every.undecoded) == (few.decoded + few.undecoded, 0)
    assert run(["doctor", str(path), "--all-values"]) == 1
    assert "does not decode" in capsys.readouterr().out
