"""Shopify's customers: `webhooks` reads deliveries, `graphql` makes calls, `customers` has both shapes of a customer,
`bulk` lists everybody at once, `provider` puts it together.
"""
