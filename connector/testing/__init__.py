"""For whoever writes a provider: the promises every provider keeps, as tests, and a server to play the vendor.

    from connector.testing import ProviderContract, Reply, Request

It needs pytest and hypothesis: the extra `testing`. Nothing of the connector itself imports this package.
"""

import pytest

PARTS = ("hooks", "webhook_promises", "rest_promises", "trouble_promises")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS))

from connector.testing.provider_contract import ProviderContract  # noqa: E402
from connector.testing.vendor import Reply, Request, Vendor  # noqa: E402

__all__ = ["ProviderContract", "Reply", "Request", "Vendor"]
