"""Pictures, documents and sounds as parts: ``inlineData`` with base64, or ``fileData`` with a URI.

A URI is a file uploaded to Google (``files/abc``, or its whole URI), a video on YouTube, or any public ``https``
address. Ids of files kept elsewhere are refused. Texts in an application's format (JSON, XML, ...) go up as plain text.

Source: ai.google.dev/gemini-api/docs, "File input methods", "Image understanding", "Document understanding", "Audio
understanding", "Video understanding" (2026-11).
"""

import base64
import re
from urllib.parse import urlsplit

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import Audio, File, Image
from providers.generate_content.draft import Conversation, JsonObject

_TAKEN = re.compile(r"(image|audio|video|text)/[a-z0-9.+-]+|application/pdf")
_TEXTS = re.compile(r"application/(.+\+)?(json|xml|yaml|x-yaml|javascript|x-javascript|toml|sql|x-sh|x-ndjson)")
_PDF = "application/pdf"
_PDF_MAGIC = base64.b64encode(b"%PDF--")[:6].decode()
# by the end of a file's name
_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": _PDF,
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
    "html": "text/html",
    "csv": "text/csv",
    **dict.fromkeys(("txt", "md", "json", "xml", "yaml", "yml", "log", "py", "js", "ts", "sql", "toml"), "text/plain"),
}
_SPOKEN_AS = {"jpg": "jpeg", "m4a": "mp4", "pcm16": "pcm", "mpga": "mpeg"}
_FORMAT = re.compile(r"[a-z0-9][a-z0-9.+-]{0,31}")
_YOUTUBE = re.compile(r"https?://((www|m)\.)?(youtube\.com|youtu\.be)/")


def write_image(chat: Conversation, part: Image, param: str) -> JsonObject:
    if part.detail not in (None, "auto"):
        chat.dropped.append("image_url.detail")
    return _write(chat, part, part.media_type, param)


def write_file(chat: Conversation, part: File, param: str) -> JsonObject:
    if part.filename:
        chat.dropped.append("file.filename")
    return _write(chat, part, _type_of(part), param)


def write_audio(chat: Conversation, part: Audio, param: str) -> JsonObject:
    sound = part.format.lower()
    if not _FORMAT.fullmatch(sound):
        raise BadRequest("the audio's format is no name such as wav or mp3", param=param)
    return _inline(f"audio/{_SPOKEN_AS.get(sound, sound)}", part.data, param)


def _write(chat: Conversation, part: Image | File, media_type: str | None, param: str) -> JsonObject:
    if part.url is not None:
        return _by_uri(part.url, media_type)
    if part.file_id is not None:
        return _by_uri(_uri_of(chat, part.file_id, param), media_type)
    if not media_type:
        raise BadRequest("the data has no media type", param=param)
    written = _fit_type(media_type)
    if written is None:
        reason = f"{chat.house.name} takes pictures, sounds, videos, PDF and text, not {media_type[:80]}"
        raise UnsupportedParameter(reason, param=param)
    return _inline(written, part.data, param)


def _inline(media_type: str, data: str | None, param: str) -> JsonObject:
    if not data:
        raise BadRequest("there is no data", param=param)
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _by_uri(uri: str, media_type: str | None) -> JsonObject:
    media_type = media_type or ("video/mp4" if _YOUTUBE.match(uri) else _type_by_name(_path_of(uri)))
    return {"fileData": {"mimeType": media_type, "fileUri": uri} if media_type else {"fileUri": uri}}


def _uri_of(chat: Conversation, file_id: str, param: str) -> str:
    if "://" in file_id:
        return file_id
    if file_id.startswith("files/") and chat.house.files_url:
        return chat.house.files_url + file_id
    raise UnsupportedParameter(f"{chat.house.name} has no file {file_id[:64]!r}", param=param)


def _path_of(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return ""


def _type_by_name(name: str) -> str | None:
    return _MEDIA_TYPES.get(name.rpartition(".")[2].lower())


def _type_of(part: File) -> str | None:
    if (part.data or "").startswith(_PDF_MAGIC):
        return _PDF
    return part.media_type or (_type_by_name(part.filename) if part.filename else None)


def _fit_type(media_type: str) -> str | None:
    media_type = media_type.lower()
    if _TEXTS.fullmatch(media_type):
        return "text/plain"
    if media_type == "image/jpg":
        return "image/jpeg"
    return media_type if _TAKEN.fullmatch(media_type) else None
