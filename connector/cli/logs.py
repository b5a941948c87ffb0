"""Logging: one line an event, ids and counts only. Libraries that print bodies are kept at warnings."""

import logging
import sys

import structlog

CHATTY = ("hubspot", "urllib3", "requests", "celery", "kombu", "amqp", "sqlalchemy", "alembic", "uvicorn")


def quiet_logs(level: int = logging.INFO) -> None:
    """Our events as key=value lines on standard error; everybody else's only from warnings on."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: structlog.PrintLogger(sys.stderr),  # the stream of the moment, not of the start
        cache_logger_on_first_use=False,
    )
