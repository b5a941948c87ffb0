"""HTTP: the webhook receiver, health and metrics. Nothing is decided here: what comes in is kept, and rung for."""
