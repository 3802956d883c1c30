"""AUTO takes the smallest of what the strategies really give, and says why."""

from __future__ import annotations

import sys

import pytest

from unspool.codec.state_codec import DeltaStrategy, decode_full
from unspool.compression.compressor import choose


def test_f12_no_patch_is_tried_on_a_very_large_state() -> None:
    old = {"a": b"x" * 300_000, "b": b"y" * 30_000}
    choice = choose(old, old | {"b": b"z" * 30_000}, dict_size=30_000)
    assert DeltaStrategy.BINARY not in choice.sizes
    assert "binary not tried: the state is over 262144 bytes" in choice.reason


def test_f12_auto_takes_the_smallest_and_says_why() -> None:
    text = bytes(range(256)) * 40
    old = {"text": text, "n": b"\x01"}
    new = {"text": text[:5000] + b"!" + text[5000:], "n": b"\x01"}
    choice = choose(old, new, dict_size=len(text))
    assert choice.strategy is min(choice.sizes, key=lambda strategy: choice.sizes[strategy])
    assert choice.reason.startswith(f"{choice.strategy} is smallest")
    assert {DeltaStrategy.BINARY, DeltaStrategy.COMPRESS, DeltaStrategy.NONE, DeltaStrategy.DICT} == set(choice.sizes)


def test_f12_a_small_delta_is_taken_without_trying_the_rest() -> None:
    old = {f"k{n}": b"v" * 200 for n in range(100)}
    choice = choose(old, old | {"k3": b"w"}, dict_size=12)
    assert (choice.strategy, choice.payload) == (DeltaStrategy.DICT, None)
    assert "12 bytes; nothing else is tried" in choice.reason
    larger = choose(old, old | {"k3": b"w" * 300}, dict_size=310)
    assert "whole state not tried" in larger.reason


def test_f12_a_first_state_is_written_whole() -> None:
    choice = choose(None, {"a": b"x" * 1000}, dict_size=None)
    assert choice.strategy is DeltaStrategy.COMPRESS
    assert choice.payload is not None
    assert decode_full(choice.payload) == {"a": b"x" * 1000}


def test_f12_auto_without_bsdiff4_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bsdiff4", None)
    choice = choose({"a": b"1" * 900}, {"a": b"2" * 900}, dict_size=900)
    assert "bsdiff4 is not installed" in choice.reason
    assert choice.strategy is DeltaStrategy.COMPRESS
