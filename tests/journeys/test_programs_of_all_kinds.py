"""Programs of all kinds do under `unspool run` what they do without it: the same output, the same errors, the same exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.live_host import pythons

PROGRAMS = {
    "fork": r"""
import os
S = {"n": 0}
for i in range(3):
    pid = os.fork()
    if pid == 0:
        for k in range(50):
            S["n"] += 1
        print("child", S["n"], flush=True)
        os._exit(i)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    S["n"] += 1
print(S)
""",
    "pool": r"""
import multiprocessing as mp, concurrent.futures as cf, subprocess, sys
S={"done":[]}
def f(x): return x*x
def main():
    with mp.get_context("spawn").Pool(2) as p: S["done"]+=p.map(f, range(5))
    with cf.ProcessPoolExecutor(2, mp_context=mp.get_context("fork")) as p: S["done"]+=list(p.map(f, range(5)))
    S["sub"]=subprocess.run([sys.executable,"-c","import os;print('UNSPOOL_AGENT' in os.environ)"],capture_output=True,text=True).stdout
    print(S)
if __name__=="__main__": main()
""",
    "exec": r"""
import os, sys
S={"n":0}
for i in range(10): S["n"]+=1
sys.stdout.flush()
os.execv(sys.executable,[sys.executable,"-c","print('after exec'); import sys; sys.exit(9)"])
""",
    "threads": r"""
import threading
S={"n":0,"l":[]}
lock=threading.Lock()
def w(k):
    for i in range(300):
        with lock:
            S["n"]+=1; S["l"].append((k,i))
            if len(S["l"])>50: S["l"].clear()
ts=[threading.Thread(target=w,args=(k,)) for k in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print(S["n"], len(S["l"]))
""",
    "aio": r"""
import asyncio
S={"n":0}
async def w(k):
    for i in range(20):
        S["n"]+=1
        await asyncio.sleep(0.001)
async def main():
    await asyncio.gather(*(w(k) for k in range(5)))
    print(S)
asyncio.run(main())
""",
    "boom": r"""
import sys
class A:
    def __init__(self): self.x=1
    def go(self): self.x=2; raise ValueError("no way é")
S=A()
def main():
    try: S.go()
    except ValueError as e: print("caught", e)
    S.x=5
    S.go()
main()
""",
    "exits": r"""
import atexit, sys, threading, time
S={"n":1}
atexit.register(lambda: print("bye", S))
t=threading.Thread(target=lambda:(time.sleep(0.2), S.update(n=2), print("late")))
t.start()
S["n"]=3
sys.exit("message")
""",
    "odd": r"""
class Evil:
    def __getattr__(self, n): print("getattr", n); raise AttributeError(n)
    def __eq__(self, o): print("eq"); return True
    __hash__=None
    def __repr__(self): print("repr"); return "x"
    def __len__(self): print("len"); return 3
    def __iter__(self): print("iter"); return iter(())
    def __bool__(self): print("bool"); return False
    @property
    def p(self): print("property"); return 1
class D(dict):
    def __getitem__(self,k): print("getitem"); return 5
    def items(self): print("items"); return []
S={"e":Evil(),"d":D(a=1)}
S["e"].z=5
S["d"]["b"]=2
S["n"]=1
S["self"]=S
class Slow:
    def __repr__(self):
        import time; time.sleep(5); return "slow"
S["s"]=Slow()
print("end", len(S))
""",
    "cov": r"""
import sys
hits=[]
def tr(f,e,a): hits.append(e); return tr
S={"n":0}
sys.settrace(tr)
def g():
    S["n"]+=1
    S["n"]+=1
g()
sys.settrace(None)
print(len(hits)>3, S, [h for h in hits[:4]])
""",
    "close": r"""
import os
S={"n":0}
os.closerange(3,200)
for i in range(20): S["n"]+=1
fd=os.open("/dev/null",os.O_RDONLY)
print("fd", fd, S)
""",
}
QUICK = ("fork", "boom", "odd")


def outcome(command: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


NEWEST = sorted(pythons(), key=lambda version: int(version.partition(".")[2]))[-1]
CASES = [
    pytest.param(name, version, marks=() if name in QUICK and version == NEWEST else pytest.mark.slow)
    for name in PROGRAMS
    for version in sorted(pythons())
]


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_program_does_what_it_does_without_us(name: str, version: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(PROGRAMS[name])
    python = pythons()[version]
    plain = outcome([python, str(file)], tmp_path)
    ours = [
        sys.executable,
        "-m",
        "unspool_tui.cli",
        "run",
        "--quiet",
        "--headless",
        "--watch",
        "S",
        "--python",
        python,
    ]
    assert outcome([*ours, "-o", str(tmp_path / "a.unspool"), "--", str(file)], tmp_path) == plain
