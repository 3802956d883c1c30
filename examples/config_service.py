"""A service that keeps its settings in pydantic models; a reload of one part brings back a timeout in other units.

python examples/config_service.py config.unspool
unspool blame config.unspool settings.upstreams.billing.timeout
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr

from unspool import Recorder

recorder = Recorder(sys.argv[1], caller=True, redact=["*password*"])


class Upstream(BaseModel):
    url: str
    timeout: float = Field(default=5.0, gt=0)  # seconds
    retries: int = 2


class Settings(BaseModel):
    name: str
    upstreams: dict[str, Upstream] = {}
    features: set[str] = set()
    database_password: SecretStr = SecretStr("hunter2")


class Service:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changed("start")

    def changed(self, action: str) -> None:
        recorder.record({"settings": self.settings}, action, stacklevel=2)

    def enable(self, feature: str) -> None:
        self.settings.features.add(feature)
        self.changed(f"enable {feature}")

    def reload(self, text: str) -> None:
        for name, given in json.loads(text).items():
            known = self.settings.upstreams[name].model_dump()
            self.settings.upstreams[name] = Upstream(**{**known, **in_our_units(given)})
        self.changed("reload")  # wrong

    def retry_more(self, name: str) -> None:
        self.settings.upstreams[name].retries += 1
        self.changed(f"retry {name} more often")


def in_our_units(given: dict[str, Any]) -> dict[str, Any]:
    # What the file has is milliseconds.
    return {**given, "timeout": float(given["timeout"])} if "timeout" in given else given


def main() -> None:
    upstreams = {name: Upstream(url=f"https://{name}.example") for name in ("billing", "stock")}
    service = Service(Settings(name=Path(sys.argv[0]).stem, upstreams=upstreams))
    service.enable("dark-mode")
    service.reload('{"billing": {"timeout": 2500}}')
    service.retry_more("billing")
    service.enable("export")
    print(service.settings.upstreams["billing"])


if __name__ == "__main__":
    main()
