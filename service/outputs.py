"""What the engine writes is valid R4, or it is not stored."""

from collections.abc import Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError


class NotRenderable(Exception):
    """An output is not valid R4. Nothing was stored; the resource's type and id are named."""


def check(resource: Mapping[str, Any]) -> None:
    """Refuse an output that is not valid by its R4B model. What is stored is our dict, not the model's.

    Raises:
        NotRenderable: naming type and id.
    """
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        places = "; ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False))
        raise NotRenderable(f"{resource['resourceType']}/{resource['id']}: {places}") from None
