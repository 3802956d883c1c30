"""`python -m unspool_tui.cli`."""

from __future__ import annotations

from unspool_tui.cli import main

main()
