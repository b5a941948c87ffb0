"""The story: a delivery becomes a due link (`intake`), due links are leased and brought into agreement (`batch`).

A batch goes `observe` -> `engine.plan` -> `contacts` / `users` (apply) -> `record`; `linking` decides which contact an unlinked
user belongs to. `reconcile` makes everything due, `sweep` rings what nobody rang for. `work.Work` is what all of it works with.
"""
