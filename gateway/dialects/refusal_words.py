"""What a provider's refusal says, in words that clients of other vendors know.

OpenAI's clients branch on ``code``. A code that is a word is told as it came: those who speak OpenAI's language have
words of their own (``tool_use_failed``). Numbers, which only repeat the status, and Google's reasons
(``RESOURCE_EXHAUSTED``) give way to OpenAI's word for the status. A prompt that is too long is told by the same code
for every vendor, because agents shorten their conversation when they read it.

Sources: platform.openai.com/docs, "Error codes"; platform.claude.com/docs, "Errors"; ai.google.dev/gemini-api/docs,
"Troubleshooting"; the answers of these APIs (2026-11).
"""

import re

from gateway.core.errors import UpstreamRefused

_TYPES = frozenset(
    (
        *("invalid_request_error", "rate_limit_error", "server_error", "insufficient_quota"),
        # the limit that was reached
        *("requests", "tokens"),
        *("access_terminated", "billing_not_active", "image_generation_user_error"),
    )
)
_CODES = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_denied",
    404: "not_found",
    413: "request_too_large",
    429: "rate_limit_exceeded",
}
_TOO_LONG_CODE = "context_length_exceeded"
_NO_WORD = re.compile(r"[0-9]*|[A-Z][A-Z0-9_]*")
_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)

_TOO_LONG_STATUS = (400, 413, 422)
_TOO_LONG = re.compile(
    "|".join(
        (
            # Anthropic
            r"prompt (?:is )?too long",
            r"input length and `?max_tokens`? exceed context limit",
            # Google
            r"exceeds the maximum number of (?:input )?tokens",
            # OpenAI, and what serves open models with its API
            r"maximum context length",
            r"exceeds? (?:the )?(?:model's )?(?:available )?context (?:window|length|size|limit)",
            # xAI; Amazon Bedrock
            r"maximum prompt length is",
            r"input is too long for (?:the )?requested model",
        )
    ),
    re.IGNORECASE,
)


def told_type(error: UpstreamRefused) -> str | None:
    """The provider's own type where it is a word of OpenAI's."""
    return error.native_type if error.native_type in _TYPES else None


def own_code(error: UpstreamRefused) -> str | None:
    """The provider's own code where it is a word; None where it has none."""
    code = error.native_code
    return None if code is None or _NO_WORD.fullmatch(code) else code


def told_code(error: UpstreamRefused) -> str:
    """The code for OpenAI's clients."""
    if error.status in _TOO_LONG_STATUS and _TOO_LONG.search(error.message):
        return _TOO_LONG_CODE
    code = own_code(error)
    if code is not None:
        return code
    if error.status == 404 and _MODEL.search(error.message):
        return "model_not_found"
    return _CODES.get(error.status, error.code)
