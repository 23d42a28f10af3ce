"""How many tokens a request may have, where nobody counts them for us.

Every vendor cuts text differently. For English prose and JSON four characters a token is within a fifth of what the
vendors' own tokenizers count; other scripts take more, most of them one token a character. The figures for pictures
and pages are those of a middle size. An estimate is only ever told as one.
"""

import base64

from gateway.core.types import (
    Audio,
    ChatRequest,
    File,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

_ASCII_CHARS_PER_TOKEN = 4
# Role and separators around a message, name and wrapping of a tool.
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_TOOL = 12
# A picture of one megapixel is 1,334 tokens at Anthropic and 765 to 1,105 at OpenAI.
_TOKENS_PER_IMAGE = 1_200
# A PDF page is 1,500 to 3,000 tokens and about 50 kB; one that is only referred to counts as ten pages.
_BYTES_PER_DOCUMENT_TOKEN = 25
_TOKENS_PER_UNSEEN_DOCUMENT = 20_000
# Speech is about 32 tokens a second; compressed it is 4 kB a second.
_BYTES_PER_AUDIO_TOKEN = 125


def estimate_text(text: str) -> int:
    """Tokens of a text."""
    if text.isascii():
        return -(-len(text) // _ASCII_CHARS_PER_TOKEN)
    ascii_chars = len(text.encode("ascii", "ignore"))
    return -(-ascii_chars // _ASCII_CHARS_PER_TOKEN) + len(text) - ascii_chars


def estimate_input(request: ChatRequest) -> int:
    """Input tokens of a whole request; at least 1."""
    tokens = sum(map(_of_message, request.messages))
    tokens += sum(map(_of_tool, request.tools or ()))
    tokens += sum(map(_of_hosted_tool, request.hosted_tools or ()))
    return max(tokens, 1)


def _of_message(message: Message) -> int:
    return _TOKENS_PER_MESSAGE + sum(map(_of_part, message.parts))


def _of_tool(tool: Tool) -> int:
    schema = 0 if tool.parameters is None else len(bytes(tool.parameters)) // _ASCII_CHARS_PER_TOKEN
    return _TOKENS_PER_TOOL + estimate_text(tool.name) + estimate_text(tool.description or "") + schema


def _of_hosted_tool(tool: HostedTool) -> int:
    return _TOKENS_PER_TOOL + len(bytes(tool.value)) // _ASCII_CHARS_PER_TOKEN


def _of_part(part: Part) -> int:
    if isinstance(part, Text | Refusal | Reasoning):
        return estimate_text(part.text)
    if isinstance(part, ToolCall):
        return _TOKENS_PER_TOOL + estimate_text(part.name) + estimate_text(part.arguments)
    if isinstance(part, ToolResult):
        return _TOKENS_PER_TOOL + sum(map(_of_part, part.parts))
    if isinstance(part, Image):
        return _TOKENS_PER_IMAGE
    if isinstance(part, File):
        return _of_file(part)
    if isinstance(part, Audio):
        return len(part.data) * 3 // 4 // _BYTES_PER_AUDIO_TOKEN
    assert isinstance(part, Opaque)
    return len(bytes(part.value)) // _ASCII_CHARS_PER_TOKEN


def _of_file(file: File) -> int:
    if file.data is None:
        return _TOKENS_PER_UNSEEN_DOCUMENT
    if (file.media_type or "").startswith("text/"):
        try:
            return estimate_text(base64.b64decode(file.data).decode("utf-8", "replace"))
        except ValueError:  # no base64: whoever answers will say so
            return len(file.data) // _ASCII_CHARS_PER_TOKEN
    return len(file.data) * 3 // 4 // _BYTES_PER_DOCUMENT_TOKEN
