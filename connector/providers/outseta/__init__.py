"""Outseta, where people belong to accounts that have plans, and subscribe to email lists. A user is one of its people.

`provider` makes its calls, `events` reads its activity notifications, `person` knows the shape of its people.
"""
