"""The chat layer: profiles, contacts with their aliases, messages with their status, and the service that uses them.

Words used in this package:

- *we*, *ours*: the user of the profile, and this program for them; a *peer* is the program at the other end;
- *online process*: the one process that runs the agent for a profile, while others only use its store;
- *held*: kept back until the user decides, for a join or a message;
- *host*: the member of a group who let another one in, who is a *newcomer* at first;
- *scope*: the member whose chat with the moderators (*support chat*) a message belongs to;
- *passed on*: sent by a host in the name of its author, because author and receiver are not connected yet.

Errors::

    ChatError                 root; the message is one sentence for people, ``hint`` says what to do
    ├── InputError            the user gave something that cannot be used; nothing was stored
    │   ├── UnknownContact    no contact or invitation under that name
    │   ├── UnknownProfile    no profile was ever used under that name
    │   ├── UnknownRequest    no contact request under that number or name
    │   ├── NoAddress         this profile has no contact address
    │   ├── AliasInUse        the alias belongs to another contact
    │   ├── UnknownMessage    no message under that number
    │   ├── ContactGone       the contact deleted us
    │   ├── TextTooLong       a text does not fit into one message; says how long it may be
    │   ├── NoArchive         a file that is not an exported profile
    │   └── ArchiveNewer      a profile that a later version exported
    ├── ArchiveDamaged        an exported profile that was cut or changed
    ├── ConnectionFailed      the handshake with a contact failed for good
    ├── DeliveryFailed        a message or change of ours will never arrive
    ├── TextsHeld             the contact's keys have changed: the message is stored, and held until the user decides
    ├── CodeDiffers           the contact's security code is not ours; the contact counts as not verified
    ├── RelayUnavailable      a relay could not be used; the task is kept for the next process that goes online
    └── ProfileLocked         another process is online for this profile
        ├── ProfileMoved      the profile was exported to be used elsewhere
        └── PassphraseNeeded  it is encrypted, and there is no terminal to ask for the passphrase
"""
