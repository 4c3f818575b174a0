"""Tables of the chat layer, as numbered migrations."""

CHAT_MIGRATIONS = (
    """
    CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
    CREATE TABLE servers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        address TEXT NOT NULL UNIQUE,
        preferred INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE invitations (
        connection_id INTEGER PRIMARY KEY,
        note TEXT
    );
    CREATE TABLE contacts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        connection_id INTEGER NOT NULL UNIQUE,
        alias TEXT NOT NULL UNIQUE COLLATE NOCASE,
        profile TEXT,
        profile_shown INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        direction TEXT NOT NULL,
        text TEXT NOT NULL,
        sent_at REAL NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        shared_id TEXT,
        shown INTEGER NOT NULL
    );
    CREATE INDEX messages_of_contact ON messages (contact_id, id);
    CREATE INDEX messages_not_shown ON messages (id) WHERE shown = 0;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL
    )
    """,
)
