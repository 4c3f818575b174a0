"""Gives the user notices about connections while a process is online. No process gives the same notice about a
connection twice."""

from __future__ import annotations

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store.database import Database


class Notices:
    """Gives each notice to the user only once, even if the problem that it reports occurs again at every try."""

    def __init__(self, database: Database, context: Context) -> None:
        self._database = database
        self._context = context
        self._told: set[tuple[int, str]] = set()

    def tell(self, connection_id: int, sentence: str, kind: NoticeKind = NoticeKind.INFORMATION) -> None:
        """Give a notice, unless this process has given it before."""
        if (connection_id, sentence) not in self._told:
            self._told.add((connection_id, sentence))
            with self._database.transaction() as tx:
                self._context.application.notice(tx, connection_id, sentence, kind)
