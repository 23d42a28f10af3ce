"""What decoding JSON of somebody else's making can raise."""

from typing import Final

import msgspec

# Beside what msgspec documents: invalid UTF-8 and numbers out of range are a ``ValueError``, deep nesting is a
# ``RecursionError``.
DECODE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
