"""A queue of jobs that several asyncio workers take from. Attempts of jobs that are tried again are counted twice.

python examples/worker_queue.py queue.unspool
unspool blame queue.unspool jobs[3].attempts
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from unspool import Recorder

recorder = Recorder(sys.argv[1], caller=True)

Job = dict[str, Any]
jobs: list[Job] = [{"id": number, "status": "waiting", "attempts": 0} for number in range(6)]


def changed(action: str) -> None:
    recorder.record({"jobs": jobs}, action, stacklevel=2)


async def fetch(job: Job) -> int:
    await asyncio.sleep(0)
    if job["id"] == 3 and job["attempts"] < 2:
        raise TimeoutError("the server did not answer")
    return int(job["id"]) * 100


async def work(name: str, queue: asyncio.Queue[Job]) -> None:
    while True:
        job = await queue.get()
        job.update(status="running", worker=name)
        changed(f"{name} takes {job['id']}")
        try:
            result = await fetch(job)
        except TimeoutError as error:
            retry(job, error)
            queue.put_nowait(job)
        else:
            job.update(status="done", result=result)
            changed(f"{name} finished {job['id']}")
        queue.task_done()


def retry(job: Job, error: Exception) -> None:
    job.update(status="waiting", error=str(error))
    # It should be one more.
    job["attempts"] += 2
    changed(f"retry {job['id']}")  # wrong


async def main() -> None:
    queue: asyncio.Queue[Job] = asyncio.Queue()
    for job in jobs:
        queue.put_nowait(job)
    changed("filled")
    workers = [asyncio.create_task(work(name, queue)) for name in ("ada", "bob", "cyd")]
    await queue.join()
    for worker in workers:
        worker.cancel()
    print({job["id"]: job["attempts"] for job in jobs})


if __name__ == "__main__":
    asyncio.run(main())
