"""A program that knows nothing of unspool: it rewrites one JSON file, the way many programs save their state.

python examples/watched_json.py state.json
unspool open state.json

Every save becomes an entry while unspool is open.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from unspool_tui.demo_shop import Shop


def main() -> None:
    """Save the state of a shop twenty times a second, each time in one step."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "state.json")
    shop = Shop()
    try:
        while True:
            part = path.with_suffix(".tmp")
            part.write_text(json.dumps(shop.state, indent=1))
            part.replace(path)
            shop.step()
            time.sleep(0.05)
    except KeyboardInterrupt:
        print(f"saved to {path}")


if __name__ == "__main__":
    main()
