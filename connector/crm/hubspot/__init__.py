"""The HubSpot driver: `driver.HubSpot` is the door, the other modules are its rooms.

From the wire up: `paths` (versions), `sdk` (connections), `limits` (whose turn it is), `answers` (bodies and failures),
`transport` (one call), `narrowing` (a batch until every row is settled), `contacts` and `writes` (many records),
`subscriptions` (who gets which email, by the best of several `ways`), `events` (records of what happened), `schema` and
`access` (the portal), `webhooks` (what HubSpot sends us).
Not here: what a value means, and when to write it.
"""
