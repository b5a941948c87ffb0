"""The Celery entry point: `celery -A worker worker` and `celery -A worker beat`. Reads config.yaml, or CONNECTOR_CONFIG."""

import sys

from connector.cli.logs import quiet_logs
from connector.errors import ConfigError
from connector.tasks import app, configure, runtime

__all__ = ["app"]

quiet_logs()
try:
    configure(runtime.settings)
except ConfigError as error:
    print(error, file=sys.stderr)
    raise SystemExit(3) from None
