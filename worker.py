"""The Celery entry point: `celery -A worker worker` and `celery -A worker beat`. Reads config.yaml, or CONNECTOR_CONFIG."""

from connector.cli.logs import quiet_logs
from connector.tasks import app, configure, runtime

quiet_logs()
configure(runtime.settings)

__all__ = ["app"]
