"""What runs where there is no `fcntl`, no owner by number, no `pread` and no socket among the files: all but live programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parents[2]


def under_windows_names(script: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script whose modules of unspool see no names that Windows lacks."""
    path = cwd / "script_under_test.py"
    path.write_text(textwrap.dedent(script))
    return subprocess.run(
        [sys.executable, "-m", "support.windows_names", str(path), *words],
        env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
    )  # fmt: skip


def test_recording_asking_and_keeping_work(tmp_path: Path) -> None:
    script = """
        import sys
        from unspool_tui.cli import run
        import unspool, unspool.system

        assert unspool.system.fcntl is None
        with unspool.Recorder("app.unspool") as recorder:
            for number in range(200):
                recorder.record({"n": number, "rows": list(range(number % 7))}, action=f"step {number}")
            with unspool.open_history("app.unspool") as history:
                assert history.state(-1)["n"] == 199
        open("states.jsonl", "w").write('{"a": 1}\\n{"a": 2}\\n')
        for line in (
            "log app.unspool -n 2", "blame app.unspool n", "diff app.unspool 7", "doctor app.unspool", "vacuum app.unspool",
            "compact app.unspool small.unspool", "convert states.jsonl states.unspool", "log states.jsonl", "log states.jsonl",
            "export app.unspool report.html", "note app.unspool 3 here", "notes app.unspool", "bisect app.unspool n>`100`",
            "check app.unspool", "stats app.unspool", "open app.unspool",
        ):
            assert run(line.split()) == 0, line
        for line in ("run x.py", "attach"):
            assert run(line.split()) == 2, line
    """
    done = under_windows_names(script, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert "unspool run needs sockets that have a place among the files" in done.stderr
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_a_file_has_one_recorder_and_its_lock_ends_with_the_process(tmp_path: Path) -> None:
    script = """
        import json, os, sys
        import unspool
        from unspool.errors import HistoryLocked
        from unspool.store.databases import is_recording
        from pathlib import Path

        if sys.argv[1:] == ["killed"]:
            recorder = unspool.Recorder("app.unspool")
            recorder.record({"n": 1})
            os._exit(9)
        found = {}
        with unspool.Recorder("app.unspool", on_error="raise") as recorder:
            recorder.record({"n": 2})
            found["while recording"] = is_recording(Path("app.unspool"))
            try:
                with unspool.Recorder("app.unspool", on_error="raise") as other:
                    other.record({"n": 3})
            except HistoryLocked:
                found["second"] = "refused"
        found["afterwards"] = is_recording(Path("app.unspool"))
        with unspool.open_history("app.unspool") as history:
            found["states"] = [history.state(seq)["n"] for seq in range(len(history))]
        print(json.dumps(found))
    """
    assert under_windows_names(script, "killed", cwd=tmp_path).returncode == 9
    done = under_windows_names(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "while recording": True,
        "second": "refused",
        "afterwards": False,
        "states": [1, 2],
    }
