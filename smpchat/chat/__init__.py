"""The chat layer: profiles, contacts with their aliases, messages with their status, and the service that uses them.

Words used in this package:

- *we*, *ours*: the user of the profile, and this program, which acts for the user;
- *peer*: the program at the other end of a connection;
- *online process*: the one process that runs the agent for a profile, while others only use its store;
- *held*: we hold a join or a message of ours if we do not send it until the user decides; we hold a contact's message
  if only `chat` shows it until its author has finished it;
- *host*: the member of a group who let another member in; the one who was let in is at first a *newcomer*;
- *support chat*: the chat between one member of a group and its moderators; this member is the *scope* of a message in
  that chat;
- *passed on*: a message is passed on if a host sends it for its author, who is not connected to the receiver yet.

Errors::

    ChatError                 root; its text says what happened, and its ``hint`` what the user can do
    ├── InputError            the user gave something that cannot be used; nothing was stored
    │   ├── UnknownContact    no contact or invitation under that name
    │   │   └── AmbiguousContact  several contacts, whose aliases differ only in capitals
    │   ├── UnknownProfile    no profile was ever used under that name
    │   ├── UnknownRequest    no contact request under that number or name
    │   ├── NoAddress         this profile has no contact address
    │   ├── AliasInUse        the alias belongs to another contact
    │   ├── UnknownMessage    no message under that number
    │   ├── ContactGone       the contact removed us
    │   ├── TextTooLong       a text does not fit into one message; the error says how long a text can be
    │   ├── NoFileOffered     no file has arrived that could be received
    │   ├── NoArchive         a file that is not an exported profile
    │   ├── ArchiveNewer      a profile that a later version exported
    │   └── ImportDeclined    the user did not accept the relays and network settings of an imported profile
    ├── ArchiveDamaged        an exported profile that was cut or changed
    ├── ArchiveForeign        an exported profile that was not written by `smpchat export`
    ├── ConnectionFailed      the handshake with a contact failed for good
    ├── DeliveryFailed        a message of ours, or a change to it, will never arrive
    ├── FileUnavailable       a file that a contact sent cannot be received any more
    │   ├── FileDamaged       the received file is not the one that its sender announced
    │   └── FileNotSaved      this computer could not keep a file, or lost it
    ├── FileStalled           a file is not complete yet; the next process that goes online continues its transfer
    ├── TextsHeld             the contact's keys have changed: the message is stored, and held until the user decides
    ├── CodeDiffers           the contact sees a different security code; the contact counts as not verified
    ├── RelayUnavailable      a relay could not be used; the task is kept for the next process that goes online
    └── ProfileLocked         another process is online for this profile
        ├── ProfileMoved      the profile was exported to be used elsewhere
        └── PassphraseNeeded  a profile or exported file is encrypted, and there is no terminal to ask on
"""
