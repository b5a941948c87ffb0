"""What the receiver counts, for Prometheus. Labels come from the configuration and from our own words, never from a request."""

from prometheus_client import Counter, Gauge, Histogram

deliveries = Counter("connector_deliveries", "Webhook requests by source and HTTP status of the answer.", ["source", "status"])
items = Counter(
    "connector_delivery_items", "Events in accepted deliveries: accepted, duplicates, quarantined.", ["source", "result"]
)
unauthenticated = Counter(
    "connector_deliveries_unauthenticated",
    "Webhook requests whose signature was refused, by source and code.",
    ["source", "code"],
)
signature_failures = Gauge(
    "connector_signature_failures_in_a_row",
    "Signatures that did not match since the last one that did: a wrong secret loses every event.",
    ["source"],
)
seconds = Histogram(
    "connector_delivery_seconds",
    "Seconds from a request's headers to its answer.",
    ["source"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
batch_rows = Histogram(
    "connector_commit_requests", "Webhook requests stored by one transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
