"""HTTP: the webhook receiver, health and metrics, later the console. Nothing is decided here: what comes in is kept, and rung for."""
