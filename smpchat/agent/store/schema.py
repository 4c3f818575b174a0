"""Tables of the agent layer, as numbered migrations."""

from __future__ import annotations

from pathlib import Path

from smpchat.storage.migrations import Migrations

# AUTOINCREMENT: without it, SQLite may give a new row the number of a deleted row. If a new outbox item had the number
# of a deleted one, a relay's answer about the deleted item would count for the new one. Also, another process that
# still knows the number could change or delete the new item by mistake.
_SCRIPTS = (
    """
    CREATE TABLE connections (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL,
        link TEXT,
        agent_version INTEGER NOT NULL,
        client_version INTEGER NOT NULL,
        e2e_version INTEGER NOT NULL,
        x3dh_key1 BLOB,
        x3dh_key2 BLOB,
        reply_key BLOB,
        sent_id INTEGER NOT NULL DEFAULT 0,
        sent_hash BLOB NOT NULL DEFAULT x'',
        received_id INTEGER NOT NULL DEFAULT 0,
        received_hash BLOB NOT NULL DEFAULT x'',
        created_at REAL NOT NULL,
        ready_at REAL,
        connected_at REAL
    );
    CREATE UNIQUE INDEX joined_links ON connections (link) WHERE link IS NOT NULL;
    CREATE TABLE receive_queues (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        server TEXT NOT NULL,
        rcv_id BLOB NOT NULL,
        snd_id BLOB NOT NULL,
        mode TEXT,
        auth_key BLOB NOT NULL,
        dh_secret BLOB NOT NULL,
        e2e_key BLOB NOT NULL,
        e2e_secret BLOB,
        peer_key BLOB,
        UNIQUE (server, rcv_id)
    );
    CREATE TABLE send_queues (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        server TEXT NOT NULL,
        snd_id BLOB NOT NULL,
        mode TEXT,
        client_version INTEGER NOT NULL,
        auth_key BLOB NOT NULL,
        e2e_key BLOB NOT NULL,
        e2e_secret BLOB NOT NULL
    );
    CREATE TABLE ratchets (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        state BLOB NOT NULL
    );
    CREATE TABLE skipped_keys (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        header_key BLOB NOT NULL,
        number INTEGER NOT NULL,
        message_key BLOB NOT NULL,
        iv BLOB NOT NULL,
        PRIMARY KEY (connection_id, header_key, number)
    );
    CREATE TABLE seen_messages (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        hash BLOB NOT NULL,
        PRIMARY KEY (connection_id, hash)
    ) WITHOUT ROWID;
    CREATE TABLE waiting_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        message BLOB NOT NULL,
        notify INTEGER NOT NULL,
        reference INTEGER
    );
    CREATE TABLE first_messages (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        body BLOB NOT NULL
    );
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        lane TEXT NOT NULL,
        priority INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body BLOB NOT NULL DEFAULT x'',
        signed INTEGER NOT NULL DEFAULT 1,
        notify INTEGER NOT NULL DEFAULT 0,
        reference INTEGER,
        not_before REAL NOT NULL DEFAULT 0
    );
    CREATE INDEX outbox_lanes ON outbox (connection_id, lane, priority, id);
    CREATE TABLE sent_messages (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        message_id INTEGER NOT NULL,
        hash BLOB NOT NULL,
        reference INTEGER NOT NULL,
        PRIMARY KEY (connection_id, message_id)
    ) WITHOUT ROWID;
    CREATE TABLE relay_states (
        server TEXT PRIMARY KEY,
        error TEXT NOT NULL,
        since REAL NOT NULL,
        next_try_at REAL
    )
    """,
    """
    ALTER TABLE connections ADD COLUMN pq_support INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE kem_spares (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        public BLOB NOT NULL,
        private BLOB NOT NULL
    );
    CREATE TABLE resyncs (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        state TEXT NOT NULL,
        key1 BLOB,
        key2 BLOB,
        kem_public BLOB,
        kem_private BLOB
    );
    CREATE TABLE ratchet_keys_seen (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        hash BLOB NOT NULL,
        PRIMARY KEY (connection_id, hash)
    ) WITHOUT ROWID;
    CREATE TABLE rotations (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        stage TEXT NOT NULL,
        server TEXT NOT NULL,
        snd_id BLOB NOT NULL,
        mode TEXT,
        client_version INTEGER NOT NULL,
        auth_key BLOB NOT NULL,
        e2e_key BLOB NOT NULL,
        e2e_secret BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE addresses (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        auto_accept INTEGER NOT NULL,
        root_key BLOB NOT NULL,
        user_data BLOB NOT NULL,
        short_link TEXT,
        fixed_data BLOB
    );
    CREATE TABLE received_requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        connection_id INTEGER NOT NULL REFERENCES addresses ON DELETE CASCADE,
        request_id TEXT,
        snd_id BLOB NOT NULL,
        link TEXT NOT NULL,
        info BLOB NOT NULL,
        received_at REAL NOT NULL,
        shown INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX received_requests_not_shown ON received_requests (id) WHERE shown = 0;
    CREATE TABLE sent_requests (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        address_id BLOB,
        info BLOB NOT NULL,
        reference INTEGER
    )
    """,
    """
    CREATE TABLE short_links (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        link TEXT,
        link_id BLOB,
        auth_key BLOB,
        kem_public BLOB,
        kem_private BLOB
    );
    CREATE INDEX short_links_by_id ON short_links (link_id)
    """,
    """
    ALTER TABLE connections ADD COLUMN wanted_relay TEXT
    """,
    """
    ALTER TABLE seen_messages ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE seen_messages ADD COLUMN sent_at INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX seen_messages_in_order ON seen_messages (connection_id, number)
    """,
    """
    ALTER TABLE connections ADD COLUMN over_at REAL;
    ALTER TABLE relay_states ADD COLUMN kind TEXT NOT NULL DEFAULT 'unreachable';
    CREATE TABLE held_lanes (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        lane TEXT NOT NULL,
        kind TEXT NOT NULL,
        error TEXT NOT NULL,
        since REAL NOT NULL,
        tried_at REAL NOT NULL,
        next_try_at REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (connection_id, lane)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE moves (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        state TEXT NOT NULL,
        since REAL NOT NULL,
        relay TEXT
    );
    CREATE TABLE other_receive_queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        server TEXT NOT NULL,
        rcv_id BLOB NOT NULL,
        snd_id BLOB NOT NULL,
        mode TEXT,
        auth_key BLOB NOT NULL,
        dh_secret BLOB NOT NULL,
        e2e_key BLOB NOT NULL,
        e2e_secret BLOB,
        peer_key BLOB,
        left_at REAL,
        UNIQUE (server, rcv_id)
    );
    CREATE INDEX other_receive_queues_of ON other_receive_queues (connection_id)
    """,
    """
    ALTER TABLE rotations ADD COLUMN hold_until REAL NOT NULL DEFAULT 0
    """,
    "CREATE TABLE relay_visits (server TEXT PRIMARY KEY, since REAL NOT NULL, until REAL) WITHOUT ROWID",
    """
    CREATE TABLE allowances (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        kind TEXT NOT NULL,
        used INTEGER NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (connection_id, kind)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE consents (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        server TEXT NOT NULL,
        PRIMARY KEY (connection_id, server)
    ) WITHOUT ROWID;
    INSERT INTO consents SELECT connection_id, server FROM send_queues;
    CREATE TABLE strangers (anywhere INTEGER NOT NULL);
    CREATE TABLE own_clock (seen REAL NOT NULL, held_until REAL NOT NULL);
    ALTER TABLE received_requests ADD COLUMN relay TEXT NOT NULL DEFAULT '';
    ALTER TABLE received_requests ADD COLUMN in_turn INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE turned_away (
        connection_id INTEGER PRIMARY KEY REFERENCES addresses ON DELETE CASCADE,
        count INTEGER NOT NULL,
        since REAL NOT NULL
    );
    CREATE TABLE accepted_by_themselves (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        at REAL NOT NULL
    )
    """,
    # Erases used keys, of which earlier versions kept many, and private keys where the public half is enough. The state
    # of the handshake shows which keys are still needed: an initiator needs its keys until the peer has answered its
    # link.
    """
    ALTER TABLE connections ADD COLUMN x3dh_public BLOB;
    UPDATE connections SET x3dh_public = CAST(x448_public(x3dh_key1) || x448_public(x3dh_key2) AS BLOB)
        WHERE state LIKE '{"state": "Joining"%';
    UPDATE connections SET x3dh_key1 = NULL, x3dh_key2 = NULL, reply_key = NULL
        WHERE NOT (state LIKE '{"state": "Invit%' OR state LIKE '{"state": "Preparing"%'
            OR state LIKE '{"state": "Request%');
    UPDATE short_links SET link = short_link_without_key(link), auth_key = NULL, kem_public = NULL, kem_private = NULL
        WHERE connection_id NOT IN (SELECT id FROM connections
            WHERE state LIKE '{"state": "Invit%' OR state LIKE '{"state": "ReadingLink"%');
    ALTER TABLE send_queues RENAME COLUMN e2e_key TO e2e_public;
    UPDATE send_queues SET e2e_public = x25519_public(e2e_public);
    ALTER TABLE rotations RENAME COLUMN e2e_key TO e2e_public;
    UPDATE rotations SET e2e_public = x25519_public(e2e_public);
    UPDATE receive_queues SET e2e_key = x'' WHERE e2e_secret IS NOT NULL
        AND (mode = 'MESSAGING' OR connection_id IN (SELECT id FROM connections WHERE received_id > 1));
    UPDATE other_receive_queues SET e2e_key = x'' WHERE e2e_secret IS NOT NULL OR left_at IS NOT NULL;
    CREATE TEMPORARY TABLE ended AS SELECT id FROM connections
        WHERE state LIKE '{"state": "Failed"%' OR state LIKE '{"state": "Deleted"%';
    UPDATE receive_queues SET dh_secret = x'', e2e_key = x'', e2e_secret = NULL WHERE connection_id IN ended;
    UPDATE other_receive_queues SET dh_secret = x'', e2e_key = x'', e2e_secret = NULL WHERE connection_id IN ended;
    UPDATE addresses SET root_key = x'' WHERE connection_id IN ended;
    DELETE FROM skipped_keys WHERE connection_id IN ended;
    DELETE FROM resyncs WHERE connection_id IN ended;
    DELETE FROM ratchets WHERE connection_id IN ended;
    DELETE FROM ended WHERE id IN (SELECT connection_id FROM outbox WHERE kind = 'farewell');
    DELETE FROM rotations WHERE connection_id IN ended;
    DELETE FROM send_queues WHERE connection_id IN ended;
    DROP TABLE ended;
    UPDATE ratchets SET state = stored_ratchet(state);
    SELECT empty_log_after_commit()
    """,
    """
    ALTER TABLE resyncs ADD COLUMN asked BLOB;
    ALTER TABLE ratchet_keys_seen ADD COLUMN at REAL NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN message BLOB;
    CREATE TABLE held_texts (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        since REAL NOT NULL
    );
    CREATE TABLE old_messages (
        connection_id INTEGER NOT NULL REFERENCES connections ON DELETE CASCADE,
        hash BLOB NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (connection_id, hash)
    ) WITHOUT ROWID;
    CREATE INDEX old_messages_in_order ON old_messages (connection_id, number);
    CREATE TABLE old_copies (
        connection_id INTEGER PRIMARY KEY REFERENCES connections ON DELETE CASCADE,
        number INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sending INTEGER NOT NULL,
        stage TEXT NOT NULL,
        name TEXT NOT NULL,
        target TEXT,
        local TEXT NOT NULL,
        size INTEGER NOT NULL,
        plain_size INTEGER,
        slots INTEGER NOT NULL DEFAULT 0,
        digest BLOB NOT NULL,
        key BLOB NOT NULL,
        nonce BLOB NOT NULL,
        started REAL NOT NULL,
        moving INTEGER NOT NULL DEFAULT 0,
        trouble TEXT,
        error TEXT NOT NULL DEFAULT '',
        since REAL,
        next_try_at REAL
    );
    CREATE TABLE file_chunks (
        file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        digest BLOB NOT NULL,
        state TEXT NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0,
        replica INTEGER NOT NULL DEFAULT 0,
        spoilt INTEGER NOT NULL DEFAULT 0,
        not_before REAL NOT NULL DEFAULT 0,
        server TEXT,
        sender_id BLOB,
        sender_key BLOB,
        trouble TEXT,
        error TEXT NOT NULL DEFAULT '',
        since REAL,
        next_try_at REAL,
        PRIMARY KEY (file_id, number)
    ) WITHOUT ROWID;
    CREATE INDEX file_chunks_to_move ON file_chunks (server, file_id, number)
        WHERE state IN ('unplaced', 'placed', 'wanted');
    CREATE TABLE file_replicas (
        file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        number INTEGER NOT NULL,
        place INTEGER NOT NULL,
        server TEXT NOT NULL,
        replica_id BLOB NOT NULL,
        key BLOB NOT NULL,
        PRIMARY KEY (file_id, number, place)
    ) WITHOUT ROWID;
    CREATE TABLE file_deletions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        server TEXT NOT NULL,
        sender_id BLOB NOT NULL,
        sender_key BLOB NOT NULL,
        since REAL NOT NULL
    )
    """,
    "ALTER TABLE connections ADD COLUMN plain INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE file_deletions ADD COLUMN not_before REAL NOT NULL DEFAULT 0",
    "ALTER TABLE addresses ADD COLUMN client_data TEXT",
)

AGENT_MIGRATIONS = Migrations(_SCRIPTS, Path(__file__).with_name("tables.sql"))
