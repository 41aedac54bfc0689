"""deploy_site's reads and writes as celery tasks: `celery --app deploy_celery worker`."""

import os
from pathlib import Path
from typing import Any

import deploy_site
from deploy_queue import queue
from in_flight import wait_for

app = queue(os.environ["DEPLOY_FOLDER"])


@app.task(name="read")
def read(meeting: str, workers: int) -> dict[str, Any]:
    """Reads once as many workers have come to the meeting: so each of them does."""
    place = Path(os.environ["DEPLOY_FOLDER"], meeting)
    place.mkdir(exist_ok=True)
    (place / str(os.getpid())).touch()
    wait_for(lambda: len(list(place.iterdir())) >= workers)
    return {"rows": deploy_site.values(), **deploy_site.here()}


@app.task(name="write")
def write(name: str) -> dict[str, Any]:
    deploy_site.change(name=name)
    return {"rows": deploy_site.values(), **deploy_site.here()}


@app.task(name="die")
def die() -> None:
    deploy_site.die_in_a_write()
