"""Duplex connections over simplex queues: links, the connection handshake, delivery, files, and their durable state.

Errors::

    AgentError                 root; every leaf a person can meet carries a sentence and a hint
    ├── LinkError              text that is not a connection link; names the part that is wrong
    ├── LinkDataError          what a relay keeps behind a short link does not belong to the link
    ├── OwnLinkError           a link made by this profile
    ├── LinkJoinedError        a link this profile has joined already
    ├── IncompatibleVersion    version ranges of a layer do not overlap
    ├── MessageTooLarge        a message that does not fit one envelope
    ├── UnexpectedEvent        a state machine has no line for this pair; nothing changed
    ├── EnvelopeRefused        a message that must not come at this point; acknowledged and forgotten
    │   └── VersionRefused     in a version of a layer that this program does not speak; people are told
    ├── NotRegular             what was to be sent is not a file with an end
    ├── FileGone               its encrypted copy was removed before it was submitted
    ├── TooManyFiles           so many are under way that no more are taken
    ├── FileRefused            a description of a file that cannot be used
    ├── RelaysNotApproved      a file is at relays that its sender chose, and nobody was asked
    ├── MissingRecord          a connection lacks something that it must have by now; the others go on
    └── StoreError             the profile's database cannot be used
        ├── StoreReplaced      it was encrypted, decrypted or deleted while it was open here
        ├── StoreInUse         another process has it open, so its passphrase cannot be changed
        └── PassphraseRefused  it is encrypted with another passphrase
"""
