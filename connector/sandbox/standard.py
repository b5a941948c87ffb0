"""The contact properties that every portal has, as far as a connector meets them."""

from connector.sandbox.schema import Property

STAGES = {
    "subscriber": "Subscriber",
    "lead": "Lead",
    "marketingqualifiedlead": "Marketing Qualified Lead",
    "salesqualifiedlead": "Sales Qualified Lead",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "evangelist": "Evangelist",
    "other": "Other",
}
"""Lifecycle stages, in the order a contact goes through them."""

LANGUAGES = {
    "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "no": "Norwegian", "pt": "Portuguese",
}  # fmt: skip

LEAD_STATUSES = {"NEW": "New", "OPEN": "Open", "IN_PROGRESS": "In Progress", "CONNECTED": "Connected"}

YES_NO = {"true": "Yes", "false": "No"}

TEXTS = {
    "email": "Email", "firstname": "First Name", "lastname": "Last Name", "company": "Company Name", "jobtitle": "Job Title",
    "address": "Street Address", "city": "City", "state": "State/Region", "zip": "Postal Code", "country": "Country/Region",
    "website": "Website URL", "date_of_birth": "Date of birth", "salutation": "Salutation", "gender": "Gender",
    "twitterhandle": "Twitter Username", "message": "Message",
}  # fmt: skip

PHONES = {"phone": "Phone Number", "mobilephone": "Mobile Phone Number", "fax": "Fax Number"}

KEPT_BY_HUBSPOT = {
    "createdate": "datetime", "lastmodifieddate": "datetime", "hs_lastmodifieddate": "datetime", "hs_object_id": "number",
    "hs_merged_object_ids": "string", "hs_calculated_merged_vids": "string", "num_unique_conversion_events": "number",
}  # fmt: skip
"""Read-only, name -> type. Contacts have no value in hs_lastmodifieddate: their time is lastmodifieddate."""


GROUPS = {"contactinformation": "Contact information", "emailinformation": "Email information"}

NOTE_TEXTS = {"hs_note_body": "Note body", "hubspot_owner_id": "Owner", "hs_attachment_ids": "Attachments"}


def of_object(group: str) -> list[Property]:
    """What HubSpot keeps of every record that is no contact."""
    kept = {"hs_createdate": "datetime", "hs_lastmodifieddate": "datetime", "hs_object_id": "number"}
    return [Property(name, kind, group=group, read_only=True, ours=False) for name, kind in kept.items()]


def of_note(group: str) -> list[Property]:
    """A fresh set of a note's definitions."""
    texts = [Property(name, label=label, group=group, ours=False) for name, label in NOTE_TEXTS.items()]
    moment = Property("hs_timestamp", "datetime", "date", "Activity date", group, ours=False)
    return [*of_object(group), moment, *texts]


def properties() -> list[Property]:
    """A fresh set of definitions."""
    theirs = [Property(name, label=label) for name, label in TEXTS.items()]
    theirs += [Property(name, field_type="phonenumber", label=label) for name, label in PHONES.items()]
    theirs += [Property(name, type=kind, read_only=True) for name, kind in KEPT_BY_HUBSPOT.items()]
    theirs += [
        Property("lifecyclestage", "enumeration", "radio", "Lifecycle Stage", options=dict(STAGES)),
        Property("hs_language", "enumeration", "select", "Preferred language", options=dict(LANGUAGES)),
        Property("hs_lead_status", "enumeration", "radio", "Lead Status", options=dict(LEAD_STATUSES)),
        Property("numemployees", "number", "number", "Number of Employees"),
        Property("annualrevenue", "number", "number", "Annual Revenue"),
        Property("hs_additional_emails", "enumeration", "checkbox", "Additional emails", read_only=True, free_options=True),
        Property("hs_email_optout", "bool", "booleancheckbox", "Unsubscribed from all", options=dict(YES_NO), read_only=True),
        Property("hs_marketable_status", "bool", "booleancheckbox", "Marketing contact", options=dict(YES_NO), read_only=True),
    ]
    for one in theirs:
        one.ours = False
    return theirs
