"""Searching records, with HubSpot's limits and its ways of comparing.

Facts (HubSpot API, "Search the CRM"):
- groups are joined by OR, filters within one by AND; 5 groups, 6 filters each, 18 together; one sort;
- 200 per page, 10,000 per query, 3,000 characters of body; `after` is an offset;
- texts compare in any case, options exactly; IN and NOT_IN want texts in lower case;
- moments are given in epoch milliseconds; a contact's time is `lastmodifieddate`, any other record's `hs_lastmodifieddate`.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.sandbox.index import Values
from connector.sandbox.replies import bad_request, objects_of
from connector.sandbox.schema import Property, Schema
from connector.sandbox.values import iso, millis

PAGE, MOST_PAGE, CAP, LONGEST = 10, 200, 10_000, 3_000
GROUPS, FILTERS, ALL_FILTERS = 5, 6, 18
Test = Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """What a search gives: ids, how many there are in all, and where the next page starts."""

    ids: list[int]
    total: int
    after: str | None


def search(seen: Mapping[int, Values], schema: Schema, searched: Sequence[str], body: Mapping[str, Any], size: int) -> Page:
    """Answer one search over the index. Raises Refusal.

    searched: what `query` looks into. size: characters of the request's body.
    """
    if size > LONGEST:
        raise bad_request(f"The request body has {size} characters; {LONGEST} are allowed.")
    limit, after = _number(body, "limit", PAGE), _number(body, "after", 0)
    if not 1 <= limit <= MOST_PAGE:
        raise bad_request(f"limit must be between 1 and {MOST_PAGE}.")
    if after + limit > CAP:
        raise bad_request(f"A search gives {CAP} results at most; after {after} is too far.")
    wanted = _wanted(schema, searched, body)
    found = [one for one, values in seen.items() if wanted(values)]
    _sort(found, seen, schema, body)
    last = after + limit
    return Page(found[after:last], len(found), str(last) if last < len(found) else None)


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None or value == "":
        return default
    if not str(value).isdecimal():
        raise bad_request(f"{name} is not a number.")
    return int(value)


def _wanted(schema: Schema, searched: Sequence[str], body: Mapping[str, Any]) -> Test:
    groups = [objects_of(group, "filters") for group in objects_of(body, "filterGroups")]
    sizes = [len(group) for group in groups]
    if len(groups) > GROUPS or any(size > FILTERS for size in sizes) or sum(sizes) > ALL_FILTERS:
        raise bad_request(f"At most {GROUPS} filter groups of {FILTERS} filters, {ALL_FILTERS} together.")
    tests = [[_test(schema, one) for one in group] for group in groups]
    query = str(body.get("query") or "").lower()
    if len(query) > LONGEST:
        raise bad_request("The query is too long.")

    def wanted(values: Values) -> bool:
        fits = not tests or any(all(test(values) for test in group) for group in tests)
        return fits and (not query or any(query in values.get(name, "").lower() for name in searched))

    return wanted


def _test(schema: Schema, given: Mapping[str, Any]) -> Test:
    name, operator = str(given.get("propertyName", "")), str(given.get("operator", ""))
    definition = schema.get(name)
    if definition is None:
        raise bad_request(f"There was a problem with the request: property {name} does not exist")
    if operator == "HAS_PROPERTY":
        return lambda values: bool(values.get(name))
    if operator == "NOT_HAS_PROPERTY":
        return lambda values: not values.get(name)
    if operator in ("IN", "NOT_IN"):
        return _membership(definition, given, operator == "IN")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        return _token(name, str(given.get("value", "")), operator == "CONTAINS_TOKEN")
    return _comparison(definition, operator, given)


def _membership(definition: Property, given: Mapping[str, Any], inside: bool) -> Test:
    listed = given.get("values")
    if not isinstance(listed, list) or not listed:
        raise bad_request(f"{definition.name}: IN and NOT_IN want values.")
    wanted = {str(_comparable(definition, str(one), fold=False)) for one in listed}

    def test(values: Values) -> bool:
        kept = values.get(definition.name, "")
        if not kept:
            return False
        held = kept.split(";") if definition.many else [kept]
        return bool(wanted & {str(_comparable(definition, one)) for one in held}) == inside

    return test


def _token(name: str, wanted: str, inside: bool) -> Test:
    pattern = wanted.lower()

    def test(values: Values) -> bool:
        kept = values.get(name, "").lower()
        tokens = re.findall(r"\w+", kept)
        if "*" in pattern:
            found = any(fnmatch.fnmatchcase(one, pattern) for one in [kept, *tokens])
        else:
            found = bool(kept) and set(re.findall(r"\w+", pattern)) <= set(tokens)
        return found == inside

    return test


def _comparison(definition: Property, operator: str, given: Mapping[str, Any]) -> Test:
    name, low = definition.name, _given(definition, given, "value")
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda kept: bool(kept == low),
        "NEQ": lambda kept: bool(kept != low),
        "LT": lambda kept: bool(kept < low),
        "LTE": lambda kept: bool(kept <= low),
        "GT": lambda kept: bool(kept > low),
        "GTE": lambda kept: bool(kept >= low),
    }
    if operator == "BETWEEN":
        high = _given(definition, given, "highValue")
        compare["BETWEEN"] = lambda kept: bool(low <= kept <= high)
    if operator not in compare:
        raise bad_request(f"{name}: there is no operator {operator}.")
    test = compare[operator]
    many = definition.many and operator == "EQ"

    def run(values: Values) -> bool:
        kept = values.get(name, "")
        if not kept:
            return False
        return any(test(_comparable(definition, one)) for one in (kept.split(";") if many else [kept]))

    return run


def _given(definition: Property, given: Mapping[str, Any], key: str) -> Any:
    if given.get(key) is None:
        raise bad_request(f"{definition.name}: {key} is missing.")
    return _comparable(definition, str(given[key]))


def _comparable(definition: Property, text: str, fold: bool = True) -> Any:
    """A value so that it compares as HubSpot does: kept moments are ISO texts of one length, so they compare as texts."""
    try:
        if definition.type == "datetime":
            return text if text.endswith("Z") and len(text) == 24 else iso(millis(text))
        if definition.type == "date":
            return text if len(text) == 10 and "-" in text else iso(millis(text))[:10]
        if definition.type == "number":
            return float(text)
    except (ValueError, OverflowError, OSError) as error:
        raise bad_request(f"{definition.name}: {text} does not compare with a {definition.type}.") from error
    return text.lower() if fold and definition.type not in ("enumeration", "bool") else text


def _sort(found: list[int], seen: Mapping[int, Values], schema: Schema, body: Mapping[str, Any]) -> None:
    sorts = body.get("sorts") or []
    if not isinstance(sorts, list) or len(sorts) > 1 or not all(isinstance(one, str | dict) for one in sorts):
        raise bad_request("Only one sort is allowed.")
    found.sort()
    if not sorts:
        return
    one = sorts[0]
    name = one.lstrip("-") if isinstance(one, str) else str(one.get("propertyName", ""))
    descending = one.startswith("-") if isinstance(one, str) else one.get("direction") == "DESCENDING"
    definition = schema.get(name)
    if definition is None:
        raise bad_request(f"There was a problem with the request: property {name} does not exist")

    valued = [one for one in found if seen[one].get(name)]
    blank = [one for one in found if not seen[one].get(name)]
    valued.sort(key=lambda one: _comparable(definition, seen[one][name]), reverse=descending)
    found[:] = [*valued, *blank] if descending else [*blank, *valued]
