"""A pool of processes counts words; one kind of text has its first word counted twice.

python examples/word_pool.py words-%p.unspool
unspool blame words-4711.unspool counts.notes.the     # the file of the process that counted it

Each process records into a file of its own, named after its number.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter

from unspool import Recorder

TEXTS = {
    "poem": "the owl and the pussycat went to sea",
    "letter": "dear the reader\nhere is the news",
    "notes": "the kettle\nthe cups\nthe tea",
}

recorder = Recorder(sys.argv[1], caller=True, children="own")
counts: dict[str, dict[str, int]] = {}


def changed(action: str) -> None:
    recorder.record({"counts": counts}, action, stacklevel=2)


def count(name: str) -> Counter[str]:
    words: Counter[str] = Counter()
    for number, line in enumerate(TEXTS[name].splitlines()):
        words.update(line.split())
        counts[name] = dict(words)
        changed(f"line {number}")
    return words if name != "notes" else correct(name, words)


def correct(name: str, words: Counter[str]) -> Counter[str]:
    # Notes are lists; their first word is a heading, which is no word of the text.
    heading = TEXTS[name].split()[0]
    words[heading] += 1
    counts[name] = dict(words)
    changed("correct")  # wrong
    return words


def main() -> None:
    # Forked children have what was set up so far, the recorder included.
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map(count, TEXTS, chunksize=1)
        pool.close()
        pool.join()
    counts.update({name: dict(words) for name, words in zip(TEXTS, results, strict=True)})
    changed("all")
    print({name: words["the"] for name, words in counts.items()})


if __name__ == "__main__":
    main()
