-- The tables of the chat layer as they are today. Made by python -m tests.tables
CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
CREATE TABLE servers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        address TEXT NOT NULL UNIQUE,
        preferred INTEGER NOT NULL DEFAULT 0
    , transport TEXT NOT NULL DEFAULT 'tls', ws_port INTEGER NOT NULL DEFAULT 443);
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
    , chat_version INTEGER, gone INTEGER NOT NULL DEFAULT 0, verified_code TEXT, link_name TEXT, provisional INTEGER NOT NULL DEFAULT 0, business INTEGER NOT NULL DEFAULT 0, told BLOB, own_member TEXT, folded TEXT, looks TEXT NOT NULL DEFAULT '', confirmed INTEGER NOT NULL DEFAULT 0, resembles INTEGER, changes_told INTEGER NOT NULL DEFAULT 0, changes_since REAL NOT NULL DEFAULT 0);
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
    , quoted_id INTEGER, quoted_direction TEXT, quoted_text TEXT, live INTEGER NOT NULL DEFAULT 0, edited INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0, changes INTEGER NOT NULL DEFAULT 0, changes_shown INTEGER NOT NULL DEFAULT 0, ttl INTEGER, expires_at REAL, husk INTEGER NOT NULL DEFAULT 0, content TEXT NOT NULL DEFAULT 'text', note TEXT NOT NULL DEFAULT '', preview TEXT, sender TEXT, forwarded INTEGER NOT NULL DEFAULT 0, occasion TEXT, written_at REAL, told_at REAL, quoted_sender TEXT, deleted_by TEXT);
CREATE INDEX messages_of_contact ON messages (contact_id, id);
CREATE INDEX messages_not_shown ON messages (id) WHERE shown = 0;
CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL
    , owner INTEGER NOT NULL DEFAULT 0);
CREATE INDEX messages_by_shared_id ON messages (contact_id, shared_id);
CREATE INDEX messages_changed ON messages (id) WHERE changes > changes_shown;
CREATE TABLE reactions (
        message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        direction TEXT NOT NULL,
        emoji TEXT NOT NULL, people INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (message_id, direction, emoji)
    ) WITHOUT ROWID;
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
CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX messages_quoting ON messages (quoted_id) WHERE quoted_id IS NOT NULL;
CREATE TABLE gone_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        shared_id TEXT NOT NULL
    );
CREATE INDEX gone_messages_by_id ON gone_messages (contact_id, shared_id);
CREATE TABLE "changes" (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER NOT NULL,
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        status TEXT NOT NULL,
        reason TEXT
    );
CREATE INDEX changes_of_message ON changes (message_id)
    ;
CREATE INDEX messages_by_occasion ON messages (contact_id, occasion) WHERE occasion IS NOT NULL;
CREATE INDEX messages_being_written ON messages (id) WHERE written_at IS NOT NULL
    ;
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
    ;
CREATE TABLE incognito (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        name TEXT NOT NULL
    );
CREATE TABLE to_handle (message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE, failures INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE member_names (
        contact_id INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
        member TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (contact_id, member)
    ) WITHOUT ROWID
    ;
CREATE TABLE conditions (
        connection_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (connection_id, kind)
    ) WITHOUT ROWID
    ;
CREATE INDEX contacts_folded ON contacts (folded)
    ;
CREATE INDEX messages_unfit_for_search ON messages (id) WHERE ttl IS NOT NULL OR live = 1;
CREATE INDEX messages_to_tell ON messages (told_at) WHERE told_at IS NOT NULL;
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
    , incognito TEXT);
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
    );
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
    );
CREATE INDEX events_of ON events (owner, seq);
CREATE TABLE group_left (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
        member BLOB NOT NULL,
        body BLOB NOT NULL
    );
CREATE INDEX group_left_to ON group_left (group_id, member);
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
    );
CREATE TABLE group_copies (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        member BLOB NOT NULL,
        status TEXT NOT NULL
    );
CREATE INDEX group_copies_of ON group_copies (message_id)
