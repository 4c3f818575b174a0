"""Duplex connections over simplex queues: links, the connection handshake, delivery, files, and their durable state.

Errors::

    AgentError                 root; every error that a person can see has a sentence and a hint
    ├── NotNow                 the state of the connection does not allow this now, but may allow it later
    ├── LinkError              text that is not a connection link; the error says what is wrong with it
    │   └── UnknownRelay       the link leaves out its relay's fingerprint, and we do not know the relay
    ├── LinkDataError          the data that a relay keeps for a short link does not match the link
    ├── OwnLinkError           a link made by this profile
    ├── LinkJoinedError        a link this profile has joined already
    ├── IncompatibleVersion    we and the peer have no version of a protocol layer in common
    ├── MessageTooLarge        a message that does not fit into one envelope
    ├── TooManyWait            too many messages are already waiting for one contact
    ├── RelayNotPublic         a contact request names a relay that only this computer or its network can reach
    ├── FileGone               the encrypted copy of a file was removed before it could be sent
    ├── NotRegular             the path given for sending is not that of a file, but of a folder, for example
    ├── TooManyFiles           too many files are already being sent and received
    ├── FileRefused            the description of a file cannot be used
    ├── RelaysNotApproved      a file is at relays that its sender chose and the user has not approved
    ├── HeldBack               a peer sent more than we accept now; its newest message stays at the relay
    ├── UnexpectedEvent        a state machine has no transition for this event in this state
    ├── MoveRefused            our queue cannot be moved now, or its move cannot be cancelled
    ├── EnvelopeRefused        a received message is not allowed at this point; we acknowledge and drop it
    │   ├── VersionRefused     a message in a version that this program does not support; the user is told
    │   └── NumberRefused      a message whose number is impossibly high; the user is told
    ├── StoreError             the profile's database cannot be used
    │   ├── StoreNotWritable   the database can be read, but not written, at the moment
    │   ├── StoreTampered      the database contains an SQL trigger
    │   ├── StoreReplaced      the database was encrypted, decrypted or deleted while it was open here
    │   ├── StoreInUse         another process has the database open, so its passphrase cannot be changed
    │   └── PassphraseRefused  the database is encrypted with another passphrase
    └── MissingRecord          a connection's record is incomplete; other connections are not affected
"""
