"""The types that settings are made of: numbers with limits, texts, addresses, secrets, and the sections they stand in."""

import os
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, WithJsonSchema

from connector import settingwords as words
from connector.yamlfile import shown
from connector.yamlwords import web_address


def one_or_more(value: Any) -> Any:
    """One secret is a list of one."""
    return [value] if isinstance(value, str | SecretStr) else value


def resolved(path: Path, info: ValidationInfo) -> Path:
    """A path of the configuration is relative to its file; `context` holds the folder of that file, when there is one."""
    if info.context is None:
        return path
    whole: Path = info.context / path
    if not os.path.isfile(whole):
        raise ValueError(f"no such file: {shown(whole)}")
    return whole


Seconds = Annotated[float, Field(ge=0, le=10 * 365 * 86400)]
Limit = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Days = Annotated[int, Field(ge=0, le=100 * 365)]
Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)]
Address = Annotated[Text, AfterValidator(web_address)]
SECRET = {"type": ["string", "null"], "format": "password"}
Token = Annotated[SecretStr, AfterValidator(words.token), WithJsonSchema(SECRET)]
SentToken = Annotated[Token, AfterValidator(words.sendable)]
Tokens = Annotated[
    tuple[Token, ...],
    BeforeValidator(one_or_more),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [SECRET, {"type": "array", "minItems": 1, "items": SECRET}]}),
]
HashKey = Annotated[SecretStr, AfterValidator(words.hash_key), WithJsonSchema(SECRET)]
Header = Annotated[Text, AfterValidator(words.header)]


class Section(BaseModel):
    """A part of the configuration: no unknown keys, never changed after loading."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        validate_default=False,
    )
