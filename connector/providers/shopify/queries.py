"""The documents we send to Shopify. Every operation has a name, by which its cost in points is remembered."""

from dataclasses import dataclass


def _tagging(name: str, field: str) -> str:
    return f"""mutation {name}($id: ID!, $tags: [String!]!) {{ {field}(id: $id, tags: $tags) {{
  userErrors {{ field message }} }} }}"""


DELETABLE = "query Deletable($id: ID!) { customer(id: $id) { id canDelete } }"
DELETE = """mutation DeleteCustomer($id: ID!) { customerDelete(input: {id: $id}) {
  deletedCustomerId userErrors { field message } } }"""
ERASE = """mutation EraseCustomer($id: ID!) { customerRequestDataErasure(customerId: $id) {
  customerId userErrors { code field message } } }"""

TAG = _tagging("Tag", "tagsAdd")
UNTAG = _tagging("Untag", "tagsRemove")


@dataclass(frozen=True)
class Documents:
    """The documents that name the fields of a customer."""

    fields: str

    @property
    def one(self) -> str:
        """A customer by id."""
        return f"query Customer($id: ID!) {{ customer(id: $id) {{ {self.fields} }} }}"

    @property
    def find(self) -> str:
        """The customer with an address."""
        return f"""query FindCustomer($email: String!) {{ customerByIdentifier(identifier: {{emailAddress: $email}}) {{
  {self.fields} }} }}"""

    @property
    def page(self) -> str:
        """A page of customers."""
        return f"""query Customers($first: Int!, $after: String, $query: String, $sort: CustomerSortKeys) {{
  customers(first: $first, after: $after, query: $query, sortKey: $sort) {{
  nodes {{ {self.fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"""

    @property
    def create(self) -> str:
        """A new customer."""
        return self._mutation("CreateCustomer", "CustomerInput!", "customerCreate")

    @property
    def update(self) -> str:
        """Some fields of a customer."""
        return self._mutation("UpdateCustomer", "CustomerInput!", "customerUpdate")

    @property
    def consent(self) -> str:
        """The consent to mails."""
        kind = "CustomerEmailMarketingConsentUpdateInput!"
        return self._mutation("SetConsent", kind, "customerEmailMarketingConsentUpdate")

    def _mutation(self, name: str, kind: str, field: str) -> str:
        return f"""mutation {name}($input: {kind}) {{ {field}(input: $input) {{
  customer {{ {self.fields} }} userErrors {{ field message }} }} }}"""
