"""The SQL of ``sqlite``. An object is alive until ``expires_at``; deleting one means to let it expire at once."""

from typing import Final

MIGRATIONS: Final = (
    (
        """
        CREATE TABLE objects (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            owner TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL,
            instance TEXT NOT NULL,
            parent TEXT NOT NULL,
            state TEXT NOT NULL,
            body BLOB NOT NULL,
            version INTEGER NOT NULL DEFAULT 1,
            lease_worker TEXT NOT NULL DEFAULT '',
            lease_until REAL NOT NULL DEFAULT 0
        )
        """,
        "CREATE INDEX objects_by_owner ON objects (kind, owner, seq)",
        "CREATE INDEX objects_by_state ON objects (kind, state, seq) WHERE state <> ''",
        "CREATE INDEX objects_by_expiry ON objects (expires_at) WHERE expires_at IS NOT NULL",
        """
        CREATE TABLE items (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            object_id TEXT NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
            id TEXT NOT NULL,
            body BLOB, -- null once it was deleted
            UNIQUE (object_id, id)
        )
        """,
        "CREATE INDEX items_in_order ON items (object_id, seq)",
    ),
    (
        # what an object's living items are together, so that nobody need look at each of them
        """
        CREATE TABLE item_totals (
            object_id TEXT PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
            items INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO item_totals
        SELECT object_id, count(body), coalesce(sum(length(body)), 0) FROM items GROUP BY object_id
        """,
        """
        CREATE TRIGGER item_added AFTER INSERT ON items BEGIN
            INSERT INTO item_totals
            VALUES (new.object_id, new.body IS NOT NULL, coalesce(length(new.body), 0))
            ON CONFLICT (object_id) DO UPDATE SET items = items + excluded.items, bytes = bytes + excluded.bytes;
        END
        """,
        """
        CREATE TRIGGER item_changed AFTER UPDATE OF body ON items BEGIN
            UPDATE item_totals SET
                items = items + (new.body IS NOT NULL) - (old.body IS NOT NULL),
                bytes = bytes + coalesce(length(new.body), 0) - coalesce(length(old.body), 0)
            WHERE object_id = new.object_id;
        END
        """,
        """
        CREATE TRIGGER item_removed AFTER DELETE ON items BEGIN
            UPDATE item_totals SET
                items = items - (old.body IS NOT NULL), bytes = bytes - coalesce(length(old.body), 0)
            WHERE object_id = old.object_id;
        END
        """,
        "ALTER TABLE items ADD COLUMN deleted_at REAL",
        "UPDATE items SET deleted_at = 0 WHERE body IS NULL",
        "CREATE INDEX items_by_deletion ON items (deleted_at) WHERE deleted_at IS NOT NULL",
    ),
)

# --- objects ------------------------------------------------------------------------------------------------------

# The ids of the gateway's own objects are random; a provider's may be anything. What an id has come to mean it means
# for good: whose object it is, of what kind, and where.
PUT: Final = """
    INSERT INTO objects (id, kind, owner, created_at, expires_at, instance, parent, state, body)
    VALUES (:id, :kind, :owner, :created_at, :expires_at, :instance, :parent, :state, :body)
    ON CONFLICT (id) DO UPDATE SET
        created_at = excluded.created_at, expires_at = excluded.expires_at, instance = excluded.instance,
        parent = excluded.parent, state = excluded.state, body = excluded.body, version = version + 1
    WHERE owner = excluded.owner AND kind = excluded.kind AND instance = excluded.instance
"""
PUT_ONE: Final = PUT + "RETURNING id"

GET: Final = """
    SELECT id, kind, owner, created_at, expires_at, instance, parent, state, body, version
    FROM objects
    WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
"""

GET_OTHERS: Final = """
    SELECT 1 FROM objects WHERE id = :id AND owner != :owner AND (expires_at IS NULL OR expires_at > :now)
"""

DELETE: Final = """
    UPDATE objects SET expires_at = :now, body = x'', version = version + 1
    WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
    RETURNING id
"""
DELETE_ITEMS: Final = "DELETE FROM items WHERE object_id = :id"

PLACE: Final = "SELECT seq FROM objects WHERE id = :id AND owner = :owner AND kind = :kind"

LIST: Final = {
    "asc": """
        SELECT id, kind, owner, created_at, expires_at, instance, parent, state, body, version
        FROM objects
        WHERE kind = :kind AND owner = :owner AND seq > :after AND (expires_at IS NULL OR expires_at > :now)
        ORDER BY seq LIMIT :limit
    """,
    "desc": """
        SELECT id, kind, owner, created_at, expires_at, instance, parent, state, body, version
        FROM objects
        WHERE kind = :kind AND owner = :owner AND seq < :after AND (expires_at IS NULL OR expires_at > :now)
        ORDER BY seq DESC LIMIT :limit
    """,
}

# The depth ends a circle, which only a damaged file can have.
CHAIN: Final = """
    WITH RECURSIVE chain (depth, seq, parent) AS (
        SELECT 1, seq, parent FROM objects
        WHERE id = :id AND owner = :owner AND kind = 'response' AND (expires_at IS NULL OR expires_at > :now)
        UNION ALL
        SELECT depth + 1, objects.seq, objects.parent
        FROM chain JOIN objects ON objects.id = chain.parent
        WHERE depth < :limit AND owner = :owner AND kind = 'response' AND (expires_at IS NULL OR expires_at > :now)
    )
    SELECT id, kind, owner, created_at, expires_at, instance, objects.parent, state, body, version
    FROM chain JOIN objects USING (seq)
    ORDER BY depth DESC
"""
# The length of a body stands in the row's head: none is read for this.
CHAIN_BYTES: Final = """
    WITH RECURSIVE chain (depth, seq, parent) AS (
        SELECT 1, seq, parent FROM objects
        WHERE id = :id AND owner = :owner AND kind = 'response' AND (expires_at IS NULL OR expires_at > :now)
        UNION ALL
        SELECT depth + 1, objects.seq, objects.parent
        FROM chain JOIN objects ON objects.id = chain.parent
        WHERE depth < :limit AND owner = :owner AND kind = 'response' AND (expires_at IS NULL OR expires_at > :now)
    )
    SELECT coalesce(sum(length(body)), 0) FROM chain JOIN objects USING (seq)
"""

UPDATE: Final = """
    UPDATE objects SET state = :state, body = :body, expires_at = :expires_at, version = version + 1
    WHERE id = :id AND owner = :owner AND version = :version AND (expires_at IS NULL OR expires_at > :now)
    RETURNING id, kind, owner, created_at, expires_at, instance, parent, state, body, version
"""

UNCLAIMED: Final = """
    SELECT id, kind, owner, created_at, expires_at, instance, parent, state, body, version
    FROM objects
    WHERE kind = :kind AND state <> '' AND state IN (SELECT value FROM json_each(:states)) AND lease_until <= :now
        AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY seq LIMIT :limit
"""

CLAIM: Final = """
    UPDATE objects SET version = version + (lease_worker <> :worker), lease_worker = :worker, lease_until = :until
    WHERE id = :id AND (lease_worker = :worker OR lease_until <= :now) AND (expires_at IS NULL OR expires_at > :now)
    RETURNING id, kind, owner, created_at, expires_at, instance, parent, state, body, version
"""

RELEASE: Final = "UPDATE objects SET lease_until = 0 WHERE id = :id AND lease_worker = :worker"

EXPIRE: Final = """
    DELETE FROM objects
    WHERE seq IN (SELECT seq FROM objects WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit)
    RETURNING kind, id
"""

# --- items --------------------------------------------------------------------------------------------------------

HAS_OBJECT: Final = """
    SELECT 1 FROM objects WHERE id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
"""

HAS_HELD_OBJECT: Final = HAS_OBJECT + "AND lease_worker = :holder"

ITEM_TOTALS: Final = "SELECT items, bytes FROM item_totals WHERE object_id = :id"

APPEND_ITEM: Final = """
    INSERT INTO items (object_id, id, body) VALUES (:object_id, :id, :body)
    ON CONFLICT (object_id, id) DO UPDATE SET body = excluded.body, deleted_at = NULL
"""

ITEM_PLACE: Final = "SELECT seq FROM items WHERE object_id = :id AND id = :item"

# First the sizes, and then only the bodies that fit. How many items there were to choose from stands in every row.
LIST_ITEMS: Final = {
    "asc": """
        WITH page AS (
            SELECT seq, length(body) AS size FROM items
            WHERE object_id = :id AND body IS NOT NULL AND seq > :after
            ORDER BY seq LIMIT :limit + 1
        ),
        shown AS (
            SELECT seq, row_number() OVER so_far AS place, sum(size) OVER so_far AS bytes
            FROM page WINDOW so_far AS (ORDER BY seq)
        )
        SELECT items.id, items.body, (SELECT count(*) FROM page) FROM shown JOIN items USING (seq)
        WHERE place <= :limit AND (bytes <= :max_bytes OR place = 1)
        ORDER BY seq
    """,
    "desc": """
        WITH page AS (
            SELECT seq, length(body) AS size FROM items
            WHERE object_id = :id AND body IS NOT NULL AND seq < :after
            ORDER BY seq DESC LIMIT :limit + 1
        ),
        shown AS (
            SELECT seq, row_number() OVER so_far AS place, sum(size) OVER so_far AS bytes
            FROM page WINDOW so_far AS (ORDER BY seq DESC)
        )
        SELECT items.id, items.body, (SELECT count(*) FROM page) FROM shown JOIN items USING (seq)
        WHERE place <= :limit AND (bytes <= :max_bytes OR place = 1)
        ORDER BY seq DESC
    """,
}

ITEM_IDS: Final = """
    SELECT items.id FROM items JOIN objects ON objects.id = items.object_id
    WHERE object_id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now) AND items.body IS NOT NULL
    ORDER BY items.seq
"""

GET_ITEM: Final = """
    SELECT items.id, items.body FROM items JOIN objects ON objects.id = items.object_id
    WHERE object_id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
        AND items.id = :item AND items.body IS NOT NULL
"""

DELETE_ITEM: Final = """
    UPDATE items SET body = NULL, deleted_at = :now
    WHERE object_id = :id AND id = :item AND body IS NOT NULL AND EXISTS (
        SELECT 1 FROM objects WHERE objects.id = :id AND owner = :owner AND (expires_at IS NULL OR expires_at > :now)
    )
    RETURNING id
"""

SWEEP_ITEMS: Final = """
    DELETE FROM items WHERE seq IN (SELECT seq FROM items WHERE deleted_at <= :before LIMIT :limit) RETURNING 1
"""
