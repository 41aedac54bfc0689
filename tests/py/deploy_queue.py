"""A celery app whose messages and results are files: no server is needed."""

from pathlib import Path

from celery import Celery


def queue(folder: str) -> Celery:
    messages, results = Path(folder, "messages"), Path(folder, "results")
    messages.mkdir(exist_ok=True)
    results.mkdir(exist_ok=True)
    return Celery(
        "deploy",
        broker="filesystem://",
        backend=f"file://{results}",
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(messages),
            "polling_interval": 0.02,
        },
    )
