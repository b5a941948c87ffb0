"""The Celery entry point: `celery -A worker worker` and `celery -A worker beat`. Reads config.yaml, or CONNECTOR_CONFIG."""

import sys
from typing import Any, NoReturn

from celery.signals import worker_init

from connector.cli.logs import quiet_logs
from connector.errors import ConfigError, Transient
from connector.sync.portal import require_fit
from connector.tasks import app, configure, runtime

__all__ = ["app"]


def refuse(error: ConfigError) -> NoReturn:
    """End the process, with each finding in a line."""
    print(error, file=sys.stderr)
    raise SystemExit(3) from None


@worker_init.connect
def refuse_unfit(**_: Any) -> None:
    """As `connector up` does. A portal out of reach is asked again before the first task, whose portal it is at least."""
    try:
        require_fit(runtime.verified())
    except ConfigError as error:
        refuse(error)
    except Transient:
        return


quiet_logs()
try:
    configure(runtime.settings)
except ConfigError as error:
    refuse(error)
