"""A git repository for tests, with a clock of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}


class Repo:
    """A repository with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 1_700_000_000
        folder.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", str(folder))

    def git(self, *arguments: str) -> str:
        stamp = f"{self.time} +0000"
        environment = {**os.environ, **ENVIRONMENT, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True, env=environment
        )
        return done.stdout.strip()

    def write(self, path: str, content: Any) -> None:
        """Write a file and stage it."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        self.git("add", "--", path)

    def commit(self, path: str, content: Any, subject: str) -> str:
        """Write a file and commit it."""
        self.write(path, content)
        return self.commit_staged(subject)

    def commit_staged(self, subject: str) -> str:
        """Commit what is staged, a minute later."""
        self.time += 60
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def move(self, old: str, new: str, subject: str) -> str:
        """Rename a file and commit that."""
        (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
        self.git("mv", "--", old, new)
        return self.commit_staged(subject)

    def merge(self, branch: str, subject: str) -> str:
        """Merge a branch; both sides' changes must fit."""
        self.time += 60
        self.git("merge", "--quiet", "--no-ff", "-m", subject, branch)
        return self.git("rev-parse", "HEAD")
