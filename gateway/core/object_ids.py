"""Sealed ids: how a client is shown a provider's file, batch or conversation.

    file-abc.east.sluM3k...      <native id>.<instance>.slu<tag>

The id itself says which provider instance has the object, so the gateway need not remember it; the tag proves that this
gateway has shown it to this owner. Nobody can reach a stranger's object by guessing or by changing the instance, and a
restart or a second process changes nothing.

Of a native id letters, digits and ``._:-`` stay as they are. Every other byte becomes ``~`` and two hex digits, so that
a shown id is always one path segment.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Set
from typing import Final

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, NotFound, UpstreamBroken
from gateway.core.jsonguard import check_counts
from gateway.core.limits import MAX_INSTANCE_NAME_CHARS, MAX_LISTED_OBJECTS, MAX_NATIVE_ID_CHARS
from gateway.core.names import is_path_segment
from gateway.core.secret import Secret

# The members that hold ids of objects in the answers of file, batch and conversation endpoints.
ID_MEMBERS: Final = frozenset(
    ("id", "file_id", "input_file_id", "output_file_id", "error_file_id", "first_id", "last_id")
)

# 20 characters of base64 are 120 bits.
_TAG_CHARS = 20
_MARK = b".slu"
_SHOWN = re.compile(
    rf"([A-Za-z0-9._:~-]+)\.([a-z][a-z0-9_-]{{0,{MAX_INSTANCE_NAME_CHARS - 1}}})\.slu([A-Za-z0-9_-]{{{_TAG_CHARS}}})"
)
# In a request an id stands in a member that names an object. Anywhere else it is text: a tool may answer with one.
_QUOTED = re.compile(rb'"([A-Za-z0-9._:~-]{4,256}\.slu[A-Za-z0-9_-]{%d})"' % _TAG_CHARS)
_REFERRING = "|".join((*sorted(ID_MEMBERS), "conversation", "batch_id")).encode()
_NAMED = re.compile(rb'("(?:%b)"[ \t\r\n]*:[ \t\r\n]*)%b' % (_REFERRING, _QUOTED.pattern))
_LISTED = re.compile(rb'"file_ids"[ \t\r\n]*:[ \t\r\n]*\[[^][{}]*\]')
_ODD = re.compile(r"[^A-Za-z0-9._:-]")
_ESCAPE = re.compile(r"~([0-9A-F]{2})")
_LABEL = b"sluice: ids of provider objects, 1"
# Without a master key everybody is the same owner, so there is nobody to keep out.
_OPEN_SECRET = b"sluice: no master key"

_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode


def sealing_secret(master_key: Secret | None) -> bytes:
    """The secret for ``IdSealer``: one that tells nothing about the master key, and a known one without such a key.
    A new master key makes every id unknown that was shown under the old one."""
    key = _OPEN_SECRET if master_key is None else master_key.reveal().encode("utf-8", "surrogatepass")
    return hmac.digest(key, _LABEL, hashlib.sha256)


class IdSealer:
    """Seals and opens ids with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, native: str, instance: str, owner: str) -> str:
        """The id to show ``owner`` for the object ``native`` of a provider instance. Raises ``UpstreamBroken`` when the
        provider's id is empty, too long, or no text."""
        try:
            shown = _ODD.sub(_escape, native)
        except UnicodeEncodeError:  # a lone surrogate
            shown = ""
        sealed = f"{shown}.{instance}.slu{self._tag(native, instance, owner)}" if shown else ""
        if len(native) > MAX_NATIVE_ID_CHARS or not is_path_segment(sealed):
            raise UpstreamBroken("The provider's answer has an object id that is not one.")
        return sealed

    def open(self, shown: str, owner: str) -> tuple[str, str] | None:
        """``(instance, native id)``; ``None`` when ``shown`` is no sealed id, is forged or is another owner's."""
        match = _SHOWN.fullmatch(shown)
        if match is None:
            return None
        encoded, instance, tag = match.groups()
        native = _unescape(encoded)
        # compared as shown, so that no object has two ids
        if native is None or _ODD.sub(_escape, native) != encoded:
            return None
        return (instance, native) if hmac.compare_digest(tag, self._tag(native, instance, owner)) else None

    def open_all(self, body: bytes, owner: str, instance: str) -> bytes:
        """JSON or JSON lines with every sealed id in a member for ids replaced by the native one; all other bytes stay.

        Raises ``NotFound`` when one is forged, is another owner's, or is of another instance than the one this body
        is going to.
        """
        if _MARK not in body:
            return body
        known: dict[bytes, bytes] = {}

        def native(shown: bytes) -> bytes:
            if shown not in known:
                known[shown] = self._native_json(shown.decode(), owner, instance)
            return known[shown]

        body = _LISTED.sub(lambda listed: _QUOTED.sub(lambda match: native(match[1]), listed[0]), body)
        return _NAMED.sub(lambda match: match[1] + native(match[2]), body)

    def _native_json(self, shown: str, owner: str, instance: str) -> bytes:
        opened = self.open(shown, owner)
        if opened is None:
            raise NotFound(f"There is no object '{shown}'.")
        if opened[0] != instance:
            raise NotFound(f"The object '{shown}' is not at the provider that this request goes to.")
        return _write(opened[1])

    def seal_all(self, body: bytes, instance: str, owner: str, members: Set[str] = ID_MEMBERS) -> bytes:
        """A provider's JSON answer with the ids in ``members`` sealed: those of the object itself and, of a list, of
        each object in ``data``. Everything else stays, in its order; what is no JSON object stays as a whole. Raises
        ``UpstreamBroken`` as ``seal`` does, and for an answer with more in it than any has."""
        try:
            check_counts(body)
        except BadRequest:
            raise UpstreamBroken("The provider's answer has too many parts.") from None
        try:
            fields = _read_members(body)
            self._seal_members(fields, instance, owner, members)
            if (data := fields.get("data")) is not None and bytes(data).lstrip().startswith(b"["):
                items = _read_list(data)
                if len(items) > MAX_LISTED_OBJECTS:
                    raise UpstreamBroken(f"The provider's list has more than {MAX_LISTED_OBJECTS} objects.")
                fields["data"] = Raw(_write([self._sealed(item, instance, owner, members) for item in items]))
            return _write(fields)
        except DECODE_ERRORS:
            return body

    def _sealed(self, item: Raw, instance: str, owner: str, members: Set[str]) -> Raw:
        if not bytes(item).lstrip().startswith(b"{"):
            return item
        fields = _read_members(item)
        self._seal_members(fields, instance, owner, members)
        return Raw(_write(fields))

    def _seal_members(self, fields: dict[str, Raw], instance: str, owner: str, members: Set[str]) -> None:
        for name in members & fields.keys():
            # null, and the empty text that some write for it, name no object
            if bytes(fields[name]).strip().startswith(b'"') and (native := _read_text(fields[name])):
                fields[name] = Raw(_write(self.seal(native, instance, owner)))

    def _tag(self, native: str, instance: str, owner: str) -> str:
        parts = (part.encode("utf-8", "surrogatepass") for part in (owner, instance, native))
        # with lengths, so that no two triples make the same message
        message = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        mac = hmac.digest(self._secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(mac)[:_TAG_CHARS].decode()


def _escape(match: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in match[0].encode())


def _unescape(encoded: str) -> str | None:
    try:
        return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), encoded).encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
