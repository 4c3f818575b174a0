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
    """
    ALTER TABLE contacts ADD COLUMN chat_version INTEGER;
    ALTER TABLE contacts ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN quoted_id INTEGER;
    ALTER TABLE messages ADD COLUMN quoted_direction TEXT;
    ALTER TABLE messages ADD COLUMN quoted_text TEXT;
    ALTER TABLE messages ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN changes_shown INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX messages_by_shared_id ON messages (contact_id, shared_id);
    CREATE INDEX messages_changed ON messages (id) WHERE changes > changes_shown;
    CREATE TABLE reactions (
        message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        direction TEXT NOT NULL,
        emoji TEXT NOT NULL,
        PRIMARY KEY (message_id, direction, emoji)
    ) WITHOUT ROWID;
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        status TEXT NOT NULL,
        reason TEXT
    );
    CREATE INDEX changes_of_message ON changes (message_id)
    """,
    """
    ALTER TABLE servers ADD COLUMN transport TEXT NOT NULL DEFAULT 'tls';
    ALTER TABLE servers ADD COLUMN ws_port INTEGER NOT NULL DEFAULT 443
    """,
    """
    ALTER TABLE contacts ADD COLUMN verified_code TEXT
    """,
    """
    ALTER TABLE contacts ADD COLUMN link_name TEXT;
    ALTER TABLE contacts ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE contacts ADD COLUMN business INTEGER NOT NULL DEFAULT 0
    """,
)
