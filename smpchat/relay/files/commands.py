"""Executes each XFTP command (xftp-wire 2.2)."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import BinaryIO, TypeVar

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import AuthPublicKey, X25519PrivateKey, X25519PublicKey
from smpchat.crypto.secretbox import Sealer
from smpchat.encoding.record import Record, field
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission
from smpchat.protocol.xftp import errors
from smpchat.protocol.xftp.commands import (
    CHUNK_SIZES,
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.relay.authorisation import signed_by_one
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.records import ID_SIZE, Chunk, NewChunk, NewRecipient
from smpchat.relay.files.shares import Shares
from smpchat.relay.files.store import FileStore, Gone, WrongDigest
from smpchat.relay.files.transfer import Download, Pieces, Reception, TooLong, opened, passed_over
from smpchat.relay.rates import Bucket

T = TypeVar("T")
NONCE_SIZE = 24
_LINES = 10
"""Maximum number of disk errors that are logged in one minute."""

_log = logging.getLogger("smpchat.relay")


class Asked(Record):
    """A command, and everything that is needed to execute it.

    Attributes:
        signed: The bytes that the command's authorisation covers.
        session_key: The relay's key for this session, to check authenticators; None if the client sent no hello.
        origin: The address or network under which `smpchat.relay.gate` counts the client; None if the gate does not
            limit the client's address.
        new_chunks: Limits how often the connection registers chunks.
        body: The bytes of the request that follow the block with the command.
    """

    command: FileCommand
    transmission: Transmission
    signed: bytes = field(repr=False)
    session_key: X25519PrivateKey | None = field(repr=False)
    origin: str | None = field(repr=False)
    new_chunks: Bucket = field(repr=False)
    body: AsyncIterator[memoryview] = field(repr=False)


class Sealed(Record):
    """A chunk to send after the block of an answer. ``file`` is its open file, and ``sealer`` encrypts it."""

    file: BinaryIO
    chunk: Chunk
    sealer: Sealer = field(repr=False)


class Reply(Record):
    """An answer. ``sealed`` is the chunk to send after the block of the answer, or None; see `FileService.download`."""

    answer: FileAnswer
    sealed: Sealed | None = None


OK = Reply(Ok())
_AUTH = Reply(Err(errors.AUTH))


def _refused(code: ErrorCode) -> Reply:
    return Reply(Err(code))


class FileService:
    """Executes commands on one store.

    Args:
        clock: Returns the Unix time in seconds.
        password: The password that FNEW must contain; None if FNEW needs none.
        new_files: Whether FNEW is allowed; if not, the answer is ERR AUTH (xftp-wire 2.2).
        transfer: Seconds within which the bytes of a chunk must arrive.
        shares: The limits for each address; None if storing files needs a password.
        index: An executor with a single thread, which makes all calls that use the index.
        workers: An executor with the threads that read and write chunks.
    """

    def __init__(
        self,
        store: FileStore,
        *,
        entropy: Entropy,
        clock: Callable[[], float],
        password: str | None,
        new_files: bool,
        transfer: float,
        shares: Shares | None,
        index: Executor,
        workers: Executor,
    ) -> None:
        self._store = store
        self._entropy = entropy
        self._clock = clock
        self._password = None if password is None else password.encode()
        self._new_files = new_files
        self._transfer = transfer
        self._shares = shares
        self._index = index
        self._workers = workers
        self._lines = Bucket(_LINES, clock)
        self._pieces = Pieces()

    async def answer(self, request: Asked) -> Reply:
        """Executes a command, and returns the reply."""
        try:
            return await self._answer(request)
        except Gone:
            return _AUTH
        except RelayStoreError as error:
            if self._lines.take():  # when the disk is full, each client can cause any number of errors
                _log.error("%s", error)
            return _refused(errors.FILE_IO if isinstance(request.command, FPut | FGet) else errors.INTERNAL)

    async def _answer(self, request: Asked) -> Reply:
        match request.command:
            case Ping():
                return Reply(Pong())
            case FNew() as new:
                return await self._register(request, new)
        entity = request.transmission.entity_id
        by_recipient = isinstance(request.command, FGet | FAck)
        chunk = await self._indexed(self._store.by_recipient if by_recipient else self._store.by_sender, entity)
        # We verify the authorisation even if no chunk has this id: the time until a refusal must not show whether
        # there is such a chunk.
        if not self._authorised(request, chunk.key if chunk is not None else None) or chunk is None:
            return _AUTH
        match request.command:
            case FPut():
                return await self._upload(chunk, request)
            case FGet(key):
                return await self._download(chunk, key)
            case FAdd(keys):
                return await self._add(chunk, keys, request.origin)
            case FAck():
                return OK if await self._indexed(self._store.forget, entity) else _AUTH
            case FDel():
                return await self._delete(chunk, request.origin)

    async def _indexed(self, call: Callable[..., T], *arguments: object) -> T:
        # The call is shielded from cancellation: once it has begun, it is finished, even if the client no longer waits
        # for the answer.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._index, call, *arguments))

    async def _worked(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._workers, call, *arguments))

    def _authorised(self, request: Asked, key: AuthPublicKey | None) -> bool:
        keys = () if key is None else (key,)
        return signed_by_one(keys, request.transmission, request.signed, request.session_key)

    # --- registering -------------------------------------------------------------------------------------------------

    async def _register(self, request: Asked, new: FNew) -> Reply:
        if not self._authorised(request, new.sender_key) or not self._new_files or not self._knows_password(new):
            return _AUTH
        if new.size not in CHUNK_SIZES:
            return _refused(errors.SIZE)
        recipients = self._recipients(new.recipient_keys)
        if not request.new_chunks.take() or not await self._may_register(request.origin, len(recipients), new=True):
            return _refused(errors.QUOTA)
        sender_id = self._entropy.random(ID_SIZE)
        chunk = NewChunk(sender_id, new.sender_key, new.size, new.digest, recipients)
        await self._indexed(self._store.create, chunk, int(self._clock()))
        return Reply(SIds(sender_id, tuple(one.recipient_id for one in recipients)))

    def _knows_password(self, new: FNew) -> bool:
        # If the relay needs no password, a client's password is ignored. The reference server does the same (xftp-wire
        # 10.4).
        return self._password is None or hmac.compare_digest(new.password or b"", self._password)

    def _recipients(self, keys: tuple[AuthPublicKey, ...]) -> tuple[NewRecipient, ...]:
        return tuple(NewRecipient(self._entropy.random(ID_SIZE), key) for key in keys)

    async def _may_register(self, origin: str | None, recipients: int, *, new: bool = False) -> bool:
        if not await self._indexed(self._store.has_room):
            return False
        return self._shares is None or self._shares.may_register(origin, recipients, new=new)

    async def _add(self, chunk: Chunk, keys: tuple[AuthPublicKey, ...], origin: str | None) -> Reply:
        recipients = self._recipients(keys)
        room = await self._may_register(origin, len(recipients))
        if not room or not await self._indexed(self._store.add, chunk, recipients):
            return _refused(errors.QUOTA)
        return Reply(RIds(tuple(one.recipient_id for one in recipients)))

    async def _delete(self, chunk: Chunk, origin: str | None) -> Reply:
        if not await self._indexed(self._store.delete, chunk):
            return _AUTH
        if self._shares is not None and chunk.there:
            self._shares.stored.give_back(origin, chunk.size)
        return OK

    # --- bytes -------------------------------------------------------------------------------------------------------

    async def _upload(self, chunk: Chunk, request: Asked) -> Reply:
        share = None if self._shares is None or chunk.there else self._shares.stored
        if share is not None and not share.take(request.origin, chunk.size):
            return _refused(errors.QUOTA)
        reply = None
        try:
            reply = await self._received(chunk, request.body)
            return reply
        finally:
            if share is not None and reply != OK:
                share.give_back(request.origin, chunk.size)

    async def _received(self, chunk: Chunk, body: AsyncIterator[memoryview]) -> Reply:
        piece = self._pieces.take()
        reception = Reception(self._store, chunk, self._workers, piece)
        try:
            async with asyncio.timeout(self._transfer):
                if await self._worked(self._store.is_there, chunk):
                    # The client uploads the chunk again, because it did not get our answer to the first upload. Read
                    # the body of the request to its end: some clients take an answer before that for a refusal.
                    await passed_over(body, chunk.size)
                    return OK
                if not await reception.begin():
                    return _refused(errors.QUOTA)
                received = await reception.receive(body)
            if received != chunk.size:
                return _refused(errors.SIZE)
            await reception.make_durable()
            await self._indexed(self._store.finish, reception.finished())
            return OK
        except TooLong:
            return _refused(errors.SIZE)
        except TimeoutError:
            return _refused(errors.TIMEOUT)
        except WrongDigest:
            return _refused(errors.DIGEST)
        finally:
            self._pieces.give_back(piece)
            await reception.end()

    async def _download(self, chunk: Chunk, client_key: X25519PublicKey) -> Reply:
        if not chunk.there:
            return _refused(errors.NO_FILE)
        key, nonce = X25519PrivateKey.generate(self._entropy), self._entropy.random(NONCE_SIZE)
        try:
            secret = key.exchange(client_key)
        except CryptoError:  # the client's key has low order, so everyone would know the secret
            return _refused(errors.CRYPTO)
        file = await opened(self._store, chunk, self._workers)
        return Reply(File(key.public(), nonce), Sealed(file, chunk, Sealer(secret, nonce)))

    def download(self, block: bytes, sealed: Sealed) -> Download:
        """Returns the bytes to send to the client: ``block``, and after it the encrypted chunk with its tag."""
        chunk, piece = sealed.chunk, self._pieces.take()
        return Download(
            block,
            sealed.file,
            chunk.size,
            sealed.sealer,
            self._workers,
            lambda: self._store.fetched(chunk),
            closed=lambda: self._pieces.give_back(piece),
            piece=piece,
        )
