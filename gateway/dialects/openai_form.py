"""OpenAI-shaped endpoints whose requests are forms with a file in them: transcriptions, translations, image edits and
variations (``multipart/form-data``, RFC 7578). Only ``model`` and ``stream`` are read; all other bytes go up as they
came."""

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_MODEL_ID_CHARS
from gateway.core.multipart import read_fields, replace_field
from gateway.core.types import DialectName
from gateway.dialects.contract import Dialect, Envelope
from gateway.dialects.openai_errors import error_body, error_event
from gateway.dialects.openai_json import read_envelope

# How forms spell yes: what Python, JavaScript and HTML write.
_YES = ("true", "True", "1", "on")


class _FormEnvelope(Envelope, kw_only=True):
    content_type: str


def read_form(body: bytes, content_type: str) -> Envelope:
    """``content_type`` is the header with the boundary in it. Raises ``BadRequest``."""
    fields = read_fields(body, content_type, ("model", "stream"))
    model = fields.get("model", "")
    if not 0 < len(model) <= MAX_MODEL_ID_CHARS:
        raise BadRequest("The form must have a field 'model' with a model's id.", param="model")
    return _FormEnvelope(model=model, stream=fields.get("stream") in _YES, content_type=content_type)


def with_model(body: bytes, envelope: Envelope, model: str) -> bytes:
    """``body`` with another model in it."""
    assert isinstance(envelope, _FormEnvelope)
    return replace_field(body, envelope.content_type, "model", model)


DIALECT = Dialect(
    name=DialectName.OPENAI_FORM,
    read_envelope=read_envelope,
    read_form=read_form,
    with_model=with_model,
    error_body=error_body,
    error_event=error_event,
)
