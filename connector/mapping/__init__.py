"""The YAML that operators edit: one mapping per provider.

Here: its model, what a mapping must not say, its loader, the text transforms, its JSON Schema.
Not here: how values are normalised and compared (engine), or what a portal offers (crm).
"""
