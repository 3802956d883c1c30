"""A small shop that records itself several times a second; `unspool demo` runs the same program.

python examples/shop.py --file shop.unspool --rate 5
unspool open shop.unspool

The program is `unspool_tui/demo_app.py`, so that an installed unspool has it too.
"""

from __future__ import annotations

from unspool_tui.demo_app import main

if __name__ == "__main__":
    main()
