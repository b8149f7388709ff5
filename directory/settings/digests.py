"""Have the settings changed? A digest of each section; what it is set to is the operator's to know."""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel

from directory.settings.sections import Settings

_DIGITS = 32


def settings_digests(settings: Settings) -> Mapping[str, str]:
    """Return half of a SHA-256 of each section, in hexadecimal; equal exactly if every key is."""
    return {name: _digest(getattr(settings, name)) for name in type(settings).model_fields}


def _digest(section: BaseModel) -> str:
    values = {
        key: sorted(map(str, value)) if isinstance(value, frozenset) else str(value) for key, value in section
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:_DIGITS]
