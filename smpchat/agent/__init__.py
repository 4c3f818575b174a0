"""Duplex connections over simplex queues: links, the connection handshake, delivery, files, and their durable state.

Errors::

    AgentError                 root; every error that a person can see has a sentence and a hint
    ├── LinkError              text that is not a connection link; the message names the wrong part
    ├── LinkDataError          the data that a relay keeps for a short link does not match the link
    ├── OwnLinkError           a link made by this profile
    ├── LinkJoinedError        a link this profile has joined already
    ├── IncompatibleVersion    we and the peer have no version of a protocol layer in common
    ├── MessageTooLarge        a message that does not fit one envelope
    ├── UnexpectedEvent        a state machine has no transition for this event in this state
    ├── EnvelopeRefused        a message that is not allowed at this point; acknowledged and forgotten
    │   └── VersionRefused     a message in a version that this program does not support; the user is told
    ├── NotRegular             the path to be sent is not a regular file
    ├── FileGone               the encrypted copy of a file was removed before it could be sent
    ├── TooManyFiles           so many files are being sent and received that no more are accepted
    ├── FileRefused            a file's description that cannot be used
    ├── RelaysNotApproved      a file is at relays that its sender chose and the user has not approved
    ├── MissingRecord          a connection's record is incomplete; other connections are not affected
    └── StoreError             the profile's database cannot be used
        ├── StoreReplaced      the database was encrypted, decrypted or deleted while it was open here
        ├── StoreInUse         another process has the database open, so its passphrase cannot be changed
        └── PassphraseRefused  the database is encrypted with another passphrase
"""
