"""The HubSpot driver: `driver.HubSpot` is the door, the other modules are its rooms.

From the wire up: `paths` (versions), `sdk` (connections), `limits` (whose turn it is), `answers` (bodies and failures),
`transport` (one call), `contacts` and `writes` (many records), `schema` (the portal), `webhooks` (what HubSpot sends us).
Not here: what a value means, and when to write it.
"""
