"""Reads and writes the descriptions with which recipients download files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smpchat.agent.errors import FileRefused
from smpchat.agent.store import file_chunks
from smpchat.agent.store.files import StoredFile
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import parse_file_server

if TYPE_CHECKING:
    from smpchat.xftp.description import FileDescription


def read(text: str) -> FileDescription:
    """Decode a recipient's description of a file. Raises `FileRefused`."""
    from smpchat.xftp.description import read_description  # this import loads YAML, which only files need

    try:
        described = read_description(text)
    except DecodeError as error:
        raise FileRefused(f"The description of this file cannot be used: {error.what}.") from None
    if described.redirect is not None:
        raise FileRefused("The description of this file points to another one, which is not allowed in messages.")
    return described


def describe(tx: sqlite3.Connection, file: StoredFile) -> Iterator[str]:
    """One description for each recipient for whom the file is registered: description N contains the Nth recipient id
    and key of every chunk."""
    from smpchat.xftp.description import DescribedChunk, DescribedReplica, FileDescription, write_description

    chunks = file_chunks.chunks(tx, file.id)
    places = {chunk.number: file_chunks.replicas(tx, file.id, chunk.number) for chunk in chunks}
    servers = {chunk.server: parse_file_server(chunk.server or "").server for chunk in chunks}
    for slot in range(file.slots):
        described = []
        for chunk in chunks:
            one = places[chunk.number][slot]
            replica = DescribedReplica(servers[chunk.server], one.replica_id, Ed25519PrivateKey(one.key))
            described.append(DescribedChunk(chunk.number, chunk.size, chunk.digest, (replica,)))
        yield write_description(FileDescription(file.size, file.digest, file.key, file.nonce, tuple(described)))
