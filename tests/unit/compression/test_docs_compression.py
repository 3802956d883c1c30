"""The reference of delta compression says what the code does."""

from __future__ import annotations

import doctest
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unspool.codec
import unspool.compression
from unspool.codec.state_codec import CorruptRecord
from unspool.compression import DeltaCompressor

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = DOCS / "api-delta-compression.md"


def test_f45_the_examples_of_the_reference_run_as_written() -> None:
    result = doctest.testfile(
        str(REFERENCE), module_relative=False, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert result.attempted > 20
    assert result.failed == 0


def test_the_reference_names_everything_that_is_public() -> None:
    text = REFERENCE.read_text()
    assert [
        name for name in unspool.compression.__all__ if name not in text and name not in ("Integrity", "RecordForm")
    ] == []
    public = [name for name in dir(DeltaCompressor) if not name.startswith("_")]
    assert [name for name in public if name not in text and name != "record_step"] == []


def test_the_coverage_table_names_tests_that_exist() -> None:
    lines = (DOCS / "seed-coverage.md").read_text().splitlines()
    text = "\n".join(line for line in lines if line.startswith("| F-"))
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    prefixes = [name.removesuffix("*") for name in re.findall(r"`(test_(?!codec_|state_|docs_)\w+\*?)`", text)]
    assert len(prefixes) > 30
    assert [prefix for prefix in prefixes if f"def {prefix}" not in tests] == []


def test_f44_the_name_of_the_first_reference_goes_on_working() -> None:
    for name in unspool.codec.__all__:
        assert getattr(unspool.codec, name) is getattr(unspool.compression, name)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_f41_a_pickle_is_refused_and_not_opened(protocol: int) -> None:
    with pytest.raises(CorruptRecord, match="no delta record"):
        DeltaCompressor().deserialize_delta(pickle.dumps({"timestamp": 1.0, "changes": {}}, protocol))


def test_f42_the_optional_and_the_unused_are_not_imported() -> None:
    code = (
        "import sys; from unspool.compression import *; "
        "DeltaCompressor().serialize_delta(DeltaRecord(1.0, {'a': 1})); "
        "print([name for name in ('bsdiff4', 'numpy', 'difflib', 'pickle') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
