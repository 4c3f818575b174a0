"""Tables of the chat layer, as numbered migrations."""

from __future__ import annotations

from pathlib import Path

from smpchat.storage.migrations import Migrations

_SCRIPTS = (
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
    # A new table replaces the table ``changes``, because SQLite cannot alter a foreign key. The ids in the new table
    # continue those of the old one (sqlite_sequence), because the agent refers to unsent changes by their ids.
    """
    CREATE TABLE contact_settings (
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (contact_id, name)
    ) WITHOUT ROWID;
    CREATE TABLE pictures (
        contact_id INTEGER PRIMARY KEY REFERENCES contacts ON DELETE CASCADE,
        uri TEXT NOT NULL
    );
    ALTER TABLE contacts ADD COLUMN told BLOB;
    ALTER TABLE messages ADD COLUMN ttl INTEGER;
    ALTER TABLE messages ADD COLUMN expires_at REAL;
    ALTER TABLE messages ADD COLUMN husk INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX messages_quoting ON messages (quoted_id) WHERE quoted_id IS NOT NULL;
    CREATE TABLE gone_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        shared_id TEXT NOT NULL
    );
    CREATE INDEX gone_messages_by_id ON gone_messages (contact_id, shared_id);
    CREATE TABLE kept_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER NOT NULL,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        status TEXT NOT NULL,
        reason TEXT
    );
    INSERT INTO kept_changes
        SELECT changes.id, message_id, contact_id, changes.status, changes.reason
        FROM changes JOIN messages ON messages.id = message_id;
    DELETE FROM sqlite_sequence WHERE name = 'kept_changes';
    INSERT INTO sqlite_sequence (name, seq) SELECT 'kept_changes', seq FROM sqlite_sequence WHERE name = 'changes';
    DROP TABLE changes;
    ALTER TABLE kept_changes RENAME TO changes;
    CREATE INDEX changes_of_message ON changes (message_id)
    """,
    """
    ALTER TABLE messages ADD COLUMN content TEXT NOT NULL DEFAULT 'text';
    ALTER TABLE messages ADD COLUMN note TEXT NOT NULL DEFAULT '';
    ALTER TABLE messages ADD COLUMN preview TEXT;
    ALTER TABLE messages ADD COLUMN sender TEXT;
    ALTER TABLE messages ADD COLUMN forwarded INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN occasion TEXT;
    ALTER TABLE messages ADD COLUMN written_at REAL;
    ALTER TABLE contacts ADD COLUMN own_member TEXT;
    CREATE INDEX messages_by_occasion ON messages (contact_id, occasion) WHERE occasion IS NOT NULL;
    CREATE INDEX messages_being_written ON messages (id) WHERE written_at IS NOT NULL
    """,
    """
    CREATE TABLE notices (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        at REAL NOT NULL,
        shown INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX notices_of ON notices (contact_id);
    CREATE INDEX notices_not_shown ON notices (id) WHERE shown = 0
    """,
    """
    CREATE TABLE incognito (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        name TEXT NOT NULL
    )
    """,
    "CREATE TABLE to_handle (message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE)",
    """
    CREATE TABLE member_names (
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        member TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (contact_id, member)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE conditions (
        connection_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (connection_id, kind)
    ) WITHOUT ROWID
    """,
    """
    ALTER TABLE contacts ADD COLUMN folded TEXT;
    ALTER TABLE contacts ADD COLUMN looks TEXT NOT NULL DEFAULT '';
    ALTER TABLE contacts ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN resembles INTEGER;
    CREATE INDEX contacts_folded ON contacts (folded)
    """,
    """
    ALTER TABLE to_handle ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE to_handle ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0
    """,
    "CREATE INDEX messages_unfit_for_search ON messages (id) WHERE ttl IS NOT NULL OR live = 1",
    "INSERT INTO held_texts SELECT connection_id, since FROM conditions WHERE kind = 'code-changed'"
    " AND connection_id IN (SELECT id FROM connections)",
    """
    ALTER TABLE contacts ADD COLUMN changes_told INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN changes_since REAL NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN told_at REAL;
    CREATE INDEX messages_to_tell ON messages (told_at) WHERE told_at IS NOT NULL""",
    # The tables of the next script are only for groups. But the messages of groups are in the table ``messages``, like
    # all other messages.
    """
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER UNIQUE REFERENCES contacts ON DELETE CASCADE,
        inviter_id INTEGER REFERENCES contacts ON DELETE SET NULL,
        profile TEXT NOT NULL,
        own BLOB NOT NULL,
        role INTEGER NOT NULL,
        standing TEXT NOT NULL,
        host BLOB NOT NULL,
        by_link INTEGER NOT NULL,
        business TEXT,
        invitation TEXT,
        minute REAL NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL DEFAULT 0,
        full INTEGER NOT NULL DEFAULT 0,
        crowded INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE group_members (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        member BLOB NOT NULL,
        connection_id INTEGER UNIQUE,
        role INTEGER NOT NULL,
        name TEXT NOT NULL,
        standing TEXT NOT NULL,
        link TEXT NOT NULL,
        older INTEGER NOT NULL,
        introducer BLOB,
        versions TEXT,
        blocked INTEGER NOT NULL,
        named INTEGER NOT NULL,
        offer TEXT,
        told TEXT NOT NULL,
        profile TEXT,
        UNIQUE (group_id, member)
    );
    CREATE TABLE group_heard (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        author BLOB NOT NULL,
        shared_id TEXT NOT NULL,
        forwarder BLOB,
        gone INTEGER NOT NULL DEFAULT 0,
        UNIQUE (group_id, author, shared_id)
    );
    CREATE TABLE group_messages (
        message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        author BLOB NOT NULL,
        shared_id TEXT NOT NULL,
        scope BLOB,
        forwarder BLOB,
        UNIQUE (group_id, author, shared_id)
    );
    CREATE TABLE group_reactions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        author BLOB NOT NULL,
        shared_id TEXT NOT NULL,
        by BLOB NOT NULL,
        emoji TEXT NOT NULL,
        early INTEGER NOT NULL,
        UNIQUE (group_id, author, shared_id, by, emoji)
    );
    CREATE TABLE group_deletions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        author BLOB NOT NULL,
        shared_id TEXT NOT NULL,
        by BLOB NOT NULL,
        UNIQUE (group_id, author, shared_id, by)
    )
    """,
    """
    CREATE TABLE message_files (
        message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        trouble TEXT,
        path TEXT,
        target TEXT,
        approved INTEGER NOT NULL DEFAULT 0,
        transfer INTEGER,
        description TEXT NOT NULL DEFAULT '',
        parts INTEGER NOT NULL DEFAULT 0,
        complete INTEGER NOT NULL DEFAULT 0,
        judged INTEGER NOT NULL DEFAULT 0,
        content TEXT,
        preview TEXT,
        invited TEXT,
        described INTEGER,
        is_described INTEGER NOT NULL DEFAULT 0,
        expires_at REAL
    );
    CREATE INDEX message_files_by_state ON message_files (state, expires_at);
    CREATE INDEX message_files_by_transfer ON message_files (transfer) WHERE transfer IS NOT NULL;
    CREATE INDEX message_files_by_change ON message_files (described) WHERE described IS NOT NULL;
    CREATE TABLE dropped_files (transfer INTEGER PRIMARY KEY);
    CREATE TABLE file_servers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        address TEXT NOT NULL UNIQUE,
        preferred INTEGER NOT NULL DEFAULT 0
    )
    """,
    "ALTER TABLE events ADD COLUMN owner INTEGER NOT NULL DEFAULT 0; CREATE INDEX events_of ON events (owner, seq)",
    """
    CREATE TABLE group_left (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        member BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX group_left_to ON group_left (group_id, member)""",
    """
    CREATE TABLE group_introductions (
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        newcomer BLOB NOT NULL,
        other BLOB NOT NULL,
        asked INTEGER NOT NULL,
        newcomer_reported INTEGER NOT NULL,
        other_reported INTEGER NOT NULL,
        PRIMARY KEY (group_id, newcomer, other)
    ) WITHOUT ROWID;
    CREATE INDEX group_introductions_to ON group_introductions (group_id, other);
    CREATE TABLE group_invitees (
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        member BLOB NOT NULL,
        connection_id INTEGER NOT NULL,
        PRIMARY KEY (group_id, member)
    ) WITHOUT ROWID;
    CREATE TABLE group_links (
        group_id INTEGER PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
        connection_id INTEGER NOT NULL UNIQUE,
        role INTEGER NOT NULL
    )
    """,
    # The contact that stands for a group has no connection of its own, because messages to the group are sent over the
    # connections to its members. The ``connection_id`` of this contact is the negative number of the group.
    """
    ALTER TABLE groups ADD COLUMN incognito TEXT;
    ALTER TABLE reactions ADD COLUMN people INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE messages ADD COLUMN quoted_sender TEXT;
    CREATE TABLE group_copies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        member BLOB NOT NULL,
        status TEXT NOT NULL
    );
    CREATE INDEX group_copies_of ON group_copies (message_id)""",
    "ALTER TABLE messages ADD COLUMN deleted_by TEXT",
)

CHAT_MIGRATIONS = Migrations(_SCRIPTS, Path(__file__).with_name("tables.sql"))
