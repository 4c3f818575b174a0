"""The chat layer: profiles, contacts with their aliases, messages with their status, and the service that uses them.

Errors::

    ChatError                 root; the message is one sentence for people, ``hint`` says what to do
    ├── InputError            something the user gave cannot be used; nothing was stored
    │   ├── UnknownContact    no contact or invitation under that name
    │   ├── UnknownProfile    no profile was ever used under that name
    │   ├── UnknownRequest    no contact request under that number or name
    │   ├── NoAddress         this profile has no contact address
    │   ├── AliasInUse        the alias belongs to another contact
    │   ├── UnknownMessage    no message under that number
    │   ├── ContactGone       the contact deleted us
    │   ├── TextTooLong       a text that does not fit one message; says how long it may be
    │   ├── NoArchive         a file that is no exported profile
    │   └── ArchiveNewer      a profile that a later version exported
    ├── ArchiveDamaged        an exported profile that was cut or changed
    ├── ConnectionFailed      the handshake with a contact failed for good
    ├── DeliveryFailed        a message or change of ours will never arrive
    ├── TextsHeld             stored, and held until the user decides: keys of the contact have changed
    ├── CodeDiffers           a security code that is not ours; the contact counts as not verified
    ├── RelayUnavailable      no relay could be reached; what was asked for is kept
    └── ProfileLocked         another process is online for this profile
        ├── ProfileMoved      the profile was exported to be used elsewhere
        └── PassphraseNeeded  it is encrypted, and there is nobody to ask
"""
