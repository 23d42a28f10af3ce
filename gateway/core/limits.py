"""Every bound in one place, each with its reason. What an operator may reasonably change is a setting instead."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- what a client may send ---------------------------------------------------------------------------------------

# Codex sends about 1 kB of turn metadata in one header and SDKs about 20 headers; 16 KiB a line and 64 KiB in all is
# what nginx and Node accept, so no client that works elsewhere fails here.
MAX_HEADER_LINE_BYTES: Final = 16 * KIB
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 64 * KIB
# Nobody nests deeper by hand; JSON Schemas of real tools reach 20. Decoders recurse, so depth is stack.
MAX_JSON_DEPTH: Final = 64
# A double needs 17 digits; a 40-character number is a mistake or an attack on big-integer parsing.
MAX_JSON_NUMBER_CHARS: Final = 40
# An empty object costs a decoder 30 times its two bytes. A quarter of a million is 20 times the largest agent request.
MAX_JSON_CONTAINERS: Final = 250_000
# A member that is kept for its provider costs ten times its bytes. The largest agent requests have some 10,000.
MAX_JSON_MEMBERS: Final = 250_000
MAX_MODEL_ID_CHARS: Final = 256
# Dropped fields told by name in one response header; who loses more has written for another provider altogether.
MAX_NAMED_FIELDS: Final = 32
# The longest agent sessions seen have some thousand turns; each costs about 1 kB once decoded.
MAX_MESSAGES: Final = 16_384
# Content parts, tool calls or reasoning blocks of one message: a long PDF sent page by page has some hundred.
MAX_MESSAGE_PARTS: Final = 4_096
# OpenAI takes 128 tools; with many MCP servers behind one agent some hundred occur elsewhere.
MAX_TOOLS: Final = 2_048
# Texts in one request for embeddings: OpenAI takes 2,048, servers of one's own more.
MAX_EMBEDDING_INPUTS: Final = 16_384
# OpenAI takes 4 stop sequences, Gemini 5, others do not say.
MAX_STOP_SEQUENCES: Final = 64
# A body that is passed through is never held, so this only ends what has no end: no provider takes files this large.
MAX_PASSED_BODY_BYTES: Final = 16 * 1024 * MIB
# What is sent to change an object that is kept: metadata, a few items.
MAX_SMALL_BODY_BYTES: Final = MIB
# OpenAI takes 20 items at once. Pictures come in them, so that a few may be as large as a whole request.
MAX_ITEMS_AT_ONCE: Final = 20
MAX_ITEMS_BYTES: Final = 32 * MIB
# The longest name that usual file systems have.
MAX_FILENAME_CHARS: Final = 255
# Lists are asked for with four or five parameters.
MAX_QUERY_PARAMETERS: Final = 32
# OpenAI accepts 512 in X-Client-Request-Id; 128 still holds a W3C trace id and a UUID together.
MAX_REQUEST_ID_CHARS: Final = 128
# A body that arrives more slowly than this is an attack on sockets, not a slow line: GPRS did 4 KiB/s.
MIN_BODY_BYTES_PER_S: Final = 1 * KIB
# A file, batch or response id in a URL path; common ones have 20 to 60 characters.
MAX_PATH_SEGMENT_CHARS: Final = 256
# An instance name is a metric label and a prefix of every model id.
MAX_INSTANCE_NAME_CHARS: Final = 64
# A DNS name has at most 253 characters (RFC 1035), then a dot, a colon and five digits.
MAX_HOST_CHARS: Final = 260
# How many different Host values are remembered as judged; a gateway is known under a few names.
MAX_JUDGED_HOSTS: Final = 128
# The same for request targets: there are a dozen endpoints, and clients that add a query of their own.
MAX_JUDGED_TARGETS: Final = 64
# 15 digits are a petabyte. More only serve to reach the edges of 64-bit counters.
MAX_CONTENT_LENGTH_DIGITS: Final = 15
# Connections beyond server.max_connections that are held for the moment it takes to tell them so, or to answer a probe.
MAX_SURPLUS_CONNECTIONS: Final = 64

# --- what goes to an upstream --------------------------------------------------------------------------------------

# Head and body up to this size are joined for one write; a longer body is not copied for the sake of one system call.
MAX_JOINED_REQUEST_BYTES: Final = 64 * KIB
# A provider inside the gateway reads an upload only when it is whole: it is a test's stand-in, not a file store.
MAX_SIMULATED_UPLOAD_BYTES: Final = 32 * MIB

# --- what an upstream may send ------------------------------------------------------------------------------------

MAX_UPSTREAM_HEADERS: Final = 200
MAX_UPSTREAM_HEADER_BYTES: Final = 64 * KIB
# 100 Continue and 103 Early Hints come once or twice; an endless row of them is an attack.
MAX_INFORMATIONAL_RESPONSES: Final = 8
# A proxy answers CONNECT with a status line and a few fields; nginx and squid stay under 1 KiB.
MAX_TUNNEL_HEAD_BYTES: Final = 16 * KIB
# Hosts whose addresses are remembered: one for each provider instance or proxy, so this is never reached by use.
MAX_CACHED_HOSTS: Final = 256
# Addresses tried for one host: large services publish up to 16; a longer answer is a mistake.
MAX_ADDRESSES: Final = 16
# The largest plain answer we hold in memory: a long completion is under 1 MiB, base64 images reach 20 MiB.
MAX_UPSTREAM_BODY_BYTES: Final = 64 * MIB
# Of an answer that is passed through unread, so much is looked at for its usage: scores and texts, no pictures.
MAX_OBSERVED_BODY_BYTES: Final = MIB
# A file, a batch or a conversation, as its provider describes it: a batch with a hundred errors has some 50 KiB.
MAX_OBJECT_ANSWER_BYTES: Final = MIB
# An error body is read for its message only.
MAX_ERROR_BODY_BYTES: Final = 256 * KIB
# One server-sent event. Image chunks are the largest real ones (about 2 MiB of base64).
MAX_SSE_EVENT_BYTES: Final = 8 * MIB

# An answer's id is repeated in every chunk we write; real ones have 20 to 60 characters.
MAX_ANSWER_ID_CHARS: Final = 256
# Reasoning text waiting for its signature, and citations, of one answer being streamed. The longest reasoning (128,000
# tokens) is about 600 KiB.
MAX_HELD_ANSWER_CHARS: Final = 8 * MIB

# OpenRouter lists about 500, the largest hosts a few thousand.
MAX_LISTED_MODELS: Final = 10_000

# A count of tokens beyond this is a mistake, and adding it up would hide every true one.
MAX_TOKEN_COUNT: Final = 10**15

# --- what the gateway keeps for its clients ------------------------------------------------------------------------

# A provider's own id of a file, batch or conversation: real ones have 20 to 60 characters, resource names of clouds
# 120. Sealed, it must still fit into a path segment.
MAX_NATIVE_ID_CHARS: Final = 160
# Objects in one answer to a list request; OpenAI gives 100 at most, of files 10,000.
MAX_LISTED_OBJECTS: Final = 10_000
# Stored answers that one request may build on; the longest agent sessions have some thousand turns.
MAX_RESPONSE_CHAIN: Final = 2_048
# What a request may build on, in bytes: as much as the largest request that the gateway takes by default.
MAX_RESUMED_BYTES: Final = 32 * MIB
# The same of all requests that a worker carries at the same time. A few bytes from a client call for all of this, and
# what is called for costs some four times as much while it is read and translated.
MAX_RESUMING_BYTES: Final = 128 * MIB
# Requests that wait for room for that; with every one before it served in a tenth of a second the last waits in vain.
MAX_WAITING_FOR_ROOM: Final = 64
# Items of one conversation, and result lines of one batch.
MAX_STORED_ITEMS: Final = 50_000
# Items of one conversation: twice what a request can build on, so that there is something to delete.
MAX_CONVERSATION_BYTES: Final = 2 * MAX_RESUMED_BYTES
# Items that are read together. One that is larger is read alone.
MAX_ITEM_PAGE_BYTES: Final = 8 * MIB
# What was promised to be stored and is not written yet: a disk that is slower than this for long is broken.
MAX_PENDING_STORE_BYTES: Final = 64 * MIB
# Objects in one transaction: enough to make a commit's cost small, few enough not to hold up other processes.
MAX_STORED_AT_ONCE: Final = 256

# --- forms (RFC 7578) ---------------------------------------------------------------------------------------------

# RFC 2046, section 5.1.1.
MAX_BOUNDARY_CHARS: Final = 70
# OpenAI takes 16 images at once; the other fields of its largest form are about 20.
MAX_FORM_PARTS: Final = 128
# The header lines of one part: a field name, a file name, a media type.
MAX_FORM_HEAD_BYTES: Final = 8 * KIB
# A form field that is no file: the longest are prompts (32,000 characters).
MAX_FORM_VALUE_BYTES: Final = MIB

# --- batches ------------------------------------------------------------------------------------------------------

# OpenAI's own bound.
MAX_BATCH_REQUESTS: Final = 50_000
# One line of an input file is one request body: as large as the gateway takes them by default.
MAX_BATCH_LINE_BYTES: Final = 32 * MIB
# What a batch may write: 50,000 answers of the length of a book. More is no output but a mistake.
MAX_BATCH_OUTPUT_BYTES: Final = 16 * 1024 * MIB
# Faulty lines told in one batch object; who has more has made the same mistake everywhere.
MAX_BATCH_ERRORS: Final = 100
# OpenAI says 64 for metadata keys and nothing for this; 512 is the longest value it accepts anywhere as a label.
MAX_CUSTOM_ID_CHARS: Final = 512

# --- flow ---------------------------------------------------------------------------------------------------------

# Unsent bytes to one client before its upstream is paused. 16 KiB costs 8 KiB of memory a stream instead of 50.
CLIENT_HIGH_WATER_BYTES: Final = 16 * KIB
# Bytes the kernel may hold unsent for one client: slow readers then cost 25 KiB of kernel memory and not 546.
NOTSENT_LOWAT_BYTES: Final = 16 * KIB

# --- configuration ------------------------------------------------------------------------------------------------

# A hundred providers with every setting written out are 100 KiB.
MAX_CONFIG_FILE_BYTES: Final = MIB
# Values after aliases are expanded: a few nested YAML aliases can mean a billion.
MAX_CONFIG_VALUES: Final = 20_000
