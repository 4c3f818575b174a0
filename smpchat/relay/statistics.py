"""The figures of a running relay: numbers that do not identify clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from typing import Any

_PREFIX = "smpchat_relay_"


class Kind(Enum):
    """The kind of a figure. A counter begins at 0 when the relay starts, and only grows."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


def _figure(kind: Kind, meaning: str) -> Any:
    return field(metadata={"kind": kind, "meaning": meaning})


def _of_files(kind: Kind, meaning: str) -> Any:
    """A figure about files; 0 if the relay does not store files."""
    return field(default=0, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of a relay at one moment. Each field's metadata contains the kind and the meaning of the figure."""

    uptime_seconds: int = _figure(Kind.GAUGE, "Seconds since the relay was started")
    connections: int = _figure(Kind.GAUGE, "Clients connected now")
    subscriptions: int = _figure(Kind.GAUGE, "Queues that a client listens to now")
    queues: int = _figure(Kind.GAUGE, "Queues stored")
    messages: int = _figure(Kind.GAUGE, "Messages stored")
    database_bytes: int = _figure(Kind.GAUGE, "Bytes of the database with its write-ahead log")
    database_free_bytes: int = _figure(Kind.GAUGE, "Free bytes in the database for new messages")
    database_limit_bytes: int = _figure(Kind.GAUGE, "Maximum bytes of stored queues and messages")
    full: int = _figure(Kind.GAUGE, "Whether the relay is full: 1 if the database or the disk has no room, else 0")
    certificate_seconds: int = _figure(Kind.GAUGE, "Seconds until the relay's certificate expires")
    accepted: int = _figure(Kind.COUNTER, "Connections that completed the SMP handshake")
    turned_away: int = _figure(Kind.COUNTER, "Connections closed at once because too many were open")
    tls_failed: int = _figure(Kind.COUNTER, "Connections that ended before or during TLS")
    handshakes_failed: int = _figure(Kind.COUNTER, "Connections that ended during the SMP handshake")
    queues_created: int = _figure(Kind.COUNTER, "Queues created")
    queues_deleted: int = _figure(Kind.COUNTER, "Queues deleted by their recipients")
    sends: int = _figure(Kind.COUNTER, "Messages accepted from senders")
    deliveries: int = _figure(Kind.COUNTER, "Messages sent to recipients, including repeats")
    acks: int = _figure(Kind.COUNTER, "Messages acknowledged and removed")
    expired: int = _figure(Kind.COUNTER, "Messages removed because they were not fetched")
    refused: Mapping[str, int] = _figure(Kind.COUNTER, "Commands refused, by error")
    commits_failed: int = _figure(Kind.COUNTER, "Groups of commands undone because the database failed")
    commands: int = _figure(Kind.COUNTER, "Commands executed and committed")
    group_sizes: Mapping[int, int] = _figure(Kind.HISTOGRAM, "Commits, counted by the number of commands in each")
    files_connections: int = _of_files(Kind.GAUGE, "Clients connected to the file relay now")
    files_chunks: int = _of_files(Kind.GAUGE, "Chunks of files stored")
    files_bytes: int = _of_files(Kind.GAUGE, "Bytes of the stored chunks")
    files_limit_bytes: int = _of_files(Kind.GAUGE, "Maximum bytes of stored files")
    files_accepted: int = _of_files(Kind.COUNTER, "File relay: connections that completed the XFTP handshake")
    files_turned_away: int = _of_files(
        Kind.COUNTER, "File relay: connections closed at once because too many were open"
    )
    files_tls_failed: int = _of_files(Kind.COUNTER, "File relay: connections that ended before HTTP/2 began")
    files_handshakes_failed: int = _of_files(
        Kind.COUNTER, "File relay: connections that ended during the XFTP handshake"
    )
    files_created: int = _of_files(Kind.COUNTER, "Chunks registered")
    files_uploads: int = _of_files(Kind.COUNTER, "Chunks received from senders")
    files_downloads: int = _of_files(Kind.COUNTER, "Chunks sent to recipients, including repeats")
    files_bytes_in: int = _of_files(Kind.COUNTER, "Bytes of the chunks received from senders")
    files_bytes_out: int = _of_files(Kind.COUNTER, "Bytes of the chunks sent to recipients")
    files_deleted: int = _of_files(Kind.COUNTER, "Chunks deleted by their senders")
    files_expired: int = _of_files(Kind.COUNTER, "Chunks removed because they were too old")
    files_refused: Mapping[str, int] = field(
        default_factory=dict,
        metadata={"kind": Kind.COUNTER, "meaning": "Refused XFTP commands, by error"},
    )

    def with_files(self, figures: Mapping[str, Any]) -> Statistics:
        """A copy of these statistics in which ``figures`` replace the figures about files."""
        return replace(self, **figures)

    def to_json(self) -> dict[str, Any]:
        """The fields of the JSON type ``stats``. Each key of ``group_sizes`` stands for a class of commits: it is the
        largest number of commands in a commit of this class."""
        content = asdict(self)
        content["group_sizes"] = {str(size): count for size, count in self.group_sizes.items()}
        return content


def figures() -> Iterator[tuple[str, Kind, str]]:
    """The name, kind and meaning of every figure."""
    for one in fields(Statistics):
        yield one.name, one.metadata["kind"], one.metadata["meaning"]


def prometheus_name(name: str, kind: Kind) -> str:
    """The name of a figure in Prometheus."""
    return f"{_PREFIX}{name}_total" if kind is Kind.COUNTER else f"{_PREFIX}{name}"


def prometheus_text(statistics: Statistics) -> str:
    """The figures in the text format of Prometheus, version 0.0.4."""
    lines: list[str] = []
    for name, kind, meaning in figures():
        exposed, value = prometheus_name(name, kind), getattr(statistics, name)
        lines += [f"# HELP {exposed} {meaning}.", f"# TYPE {exposed} {kind.value}"]
        if kind is Kind.HISTOGRAM:
            running = 0
            for size, count in value.items():
                running += count
                lines.append(f'{exposed}_bucket{{le="{size}"}} {running}')
            lines += [
                f'{exposed}_bucket{{le="+Inf"}} {running}',
                f"{exposed}_sum {statistics.commands}",
                f"{exposed}_count {running}",
            ]
        elif isinstance(value, Mapping):
            lines += [f'{exposed}{{reason="{reason}"}} {count}' for reason, count in sorted(value.items())]
        else:
            lines.append(f"{exposed} {value}")
    return "\n".join(lines) + "\n"
