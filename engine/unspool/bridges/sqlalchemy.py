"""SQLAlchemy: what sessions write, a table an atom, and each value with the line that assigned it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from itertools import count
from typing import Any, Final

import msgspec
from sqlalchemy import event, inspect
from sqlalchemy.orm import LoaderCallableStatus, Mapper

from unspool.bridges import harmless
from unspool.model.values import Value
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder

_NOT_LOADED: Final = object()
"""Stands for a value that the database worked out and nobody has asked for."""

Row = dict[str, Value]
TableAndKey = tuple[str, str]


def record_session(recorder: Recorder, session: Any, base: Any, tables: Collection[str] = ()) -> Callable[[], None]:
    """Record what sessions write to the database.

    A flush becomes an entry for each line of the app that assigned what it writes; a rollback takes back what was
    recorded since its transaction began. A row stands in its table under its key, as text. Only what is loaded is read:
    no lazy attribute is asked for. Which rows a bulk statement wrote is not known: its entry says so.

    Args:
        recorder: what it is recorded with.
        session: a `sessionmaker`, a `Session`, or the class.
        base: the declarative base, or the registry, whose classes are meant.
        tables: the tables that are meant; all when there are none.

    Returns:
        What ends it.
    """
    return _Writes(recorder, session, tuple(tables), getattr(base, "registry", base)).stop


class _Write(msgspec.Struct):
    """What one line of the app had written in one flush: values by row, or None for a row that went."""

    order: int
    line: Mapping[str, Value]
    rows: dict[TableAndKey, Row | None] = {}


class _Writes:
    """The rows that are known, by table and key, and the lines that assigned what was not flushed yet."""

    def __init__(self, recorder: Recorder, session: Any, tables: tuple[str, ...], registry: Any) -> None:
        self._recorder, self._tables, self._registry = recorder, tables, registry
        self._callers = Caller(skip=("sqlalchemy", "unspool.bridges"))
        self._orders = count()
        # It lets a thread in again: what is recorded may flush a session.
        self._turn = threading.RLock()
        # Under it an instance keeps the lines of its assignments, and a session what rows were and where it may roll back to.
        self._info = f"unspool {id(self)}"
        self._listening: list[tuple[Any, str, Any]] = []
        self._state: dict[str, dict[str, Row]] = {
            table: rows for table, rows in recorder.last().items() if isinstance(rows, dict)
        }
        self._noted = harmless(recorder, self._note)
        for mapper in list(registry.mappers):
            self.mapper_configured(mapper, mapper.class_)
        self._listen(Mapper, "mapper_configured", harmless(recorder, self.mapper_configured))
        for happening in ("after_flush", "after_transaction_create", "after_soft_rollback"):
            self._listen(session, happening, harmless(recorder, getattr(self, happening)))
        self._listen(session, "do_orm_execute", self.do_orm_execute)

    def _listen(self, target: Any, happening: str, told: Any, **options: bool) -> None:
        event.listen(target, happening, told, **options)
        self._listening.append((target, happening, told))

    def stop(self) -> None:
        while self._listening:
            event.remove(*self._listening.pop())

    def mapper_configured(self, mapper: Any, kind: type) -> None:
        for name in mapper.columns.keys() if self._is_meant(mapper) else ():
            for happening in ("set", "modified"):
                if not event.contains(getattr(kind, name), happening, self._noted):
                    self._listen(getattr(kind, name), happening, self._noted, raw=True, propagate=True)

    def after_flush(self, session: Any, _: Any) -> None:
        """Record what a flush wrote, line by line, in the order of the assignments."""
        read = _Write(-1, self._line())
        writes: dict[str, _Write] = {}
        for row in (*session.new, *session.dirty, *session.deleted):
            state = inspect(row)
            notes = state.info.pop(self._info, {})
            if not self._is_meant(state.mapper):
                continue
            place = _place(state)
            if state.key is not None and self._state.get(place[0], {}).get(place[1]) is None:
                before = {name: state.committed_state.get(name, value) for name, value in _written(state, True)}
                read.rows[place] = {k: v for k, v in before.items() if not isinstance(v, LoaderCallableStatus)}
            # Under another key it is another row, and known once that is written.
            keys = (state.mapper.get_property_by_column(column).key for column in state.mapper.primary_key)
            is_gone = row in session.deleted or (
                state.key is not None and any(k in state.committed_state for k in keys)
            )
            for name, value in [("", None)] if is_gone else _written(state, state.key is None):
                order, line = notes.get(name, (sys.maxsize, read.line))
                write = writes.setdefault(str(line), _Write(order, line))
                write.rows[place] = None if is_gone else {**(write.rows.get(place) or {}), name: value}
        if read.rows:
            self._record(session, read, "read")
        for write in sorted(writes.values(), key=lambda one: one.order):
            self._record(session, write, "flush")

    def after_transaction_create(self, session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            session.info.pop(self._info, None)
        rows, begins = session.info.setdefault(self._info, ([], {}))
        begins[id(transaction)] = len(rows)

    def after_soft_rollback(self, session: Any, transaction: Any) -> None:
        rows, begins = session.info.setdefault(self._info, ([], {}))
        begin = begins.get(id(transaction), len(rows))
        # Of rows that were written several times, what they were first stays.
        before = dict(reversed(rows[begin:]))
        del rows[begin:]
        if before:
            self._tell(before, "rollback", self._line())

    def do_orm_execute(self, execution: Any) -> Any:
        if not (execution.is_update or execution.is_delete or execution.is_insert):
            return None
        result = execution.invoke_statement()
        harmless(self._recorder, self._report_statement)(execution, execution.bind_mapper)
        return result

    def _report_statement(self, execution: Any, mapper: Any) -> None:
        if self._is_meant(mapper):
            states = [inspect(row) for row in list(execution.session.identity_map.values())]
            loaded = {_place(state): dict(_written(state, True)) for state in states if state.mapper.isa(mapper)}
            what = f"{type(execution.statement).__name__.upper()} {_table(mapper)}, rows not known"
            written = _Write(0, self._line(), {**loaded})
            self._record(execution.session, written, f"{what}; loaded:{'' if loaded else ' none'}")

    def _is_meant(self, mapper: Any) -> bool:
        is_known = getattr(mapper, "registry", None) is self._registry
        return is_known and (not self._tables or _table(mapper) in self._tables)

    def _line(self) -> Mapping[str, Value]:
        return self._callers.added_to(None, sys._getframe(1), 0)

    def _note(self, state: Any, *told: Any) -> None:
        state.info.setdefault(self._info, {})[told[-1].key] = (next(self._orders), self._line())

    def _record(self, session: Any, write: _Write, action: str) -> None:
        past, _ = session.info.setdefault(self._info, ([], {}))
        after = dict(write.rows)
        for place, values in write.rows.items():
            before = self._state.get(place[0], {}).get(place[1])
            past.append((place, before))
            if values is not None:
                whole = {**(before or {}), **values}
                after[place] = {name: value for name, value in whole.items() if value is not _NOT_LOADED}
        self._tell(after, action, write.line)

    def _tell(self, rows: Mapping[TableAndKey, Row | None], action: str, line: Mapping[str, Value]) -> None:
        named = [f"{table} {key[:64]}" for table, key in list(rows)[:3]]
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        # Sessions of several threads flush at once: none may record a table without what another one just wrote to it.
        # Tables are exchanged and never changed in place, for a recorder may read them again later.
        with self._turn:
            atoms = {table: dict(self._state.get(table, {})) for table, _ in rows}
            for (table, key), row in rows.items():
                if row is None:
                    atoms[table].pop(key, None)
                else:
                    atoms[table][key] = row
            self._state.update(atoms)
            self._recorder.update(atoms, f"{action} {', '.join(named)}{more}".rstrip(), meta=line)


def _table(mapper: Any) -> str:
    return str(getattr(mapper.base_mapper.local_table, "name", mapper.base_mapper.class_.__name__))


def _place(state: Any) -> TableAndKey:
    key = state.key[1] if state.key is not None else state.mapper.primary_key_from_instance(state.obj())
    return _table(state.mapper), ",".join(map(str, key))


def _written(state: Any, is_whole: bool) -> Iterator[tuple[str, Value]]:
    """Yield the columns of a row, or those that a flush wrote, and their values as far as they are loaded."""
    for name in state.mapper.columns.keys():  # noqa: SIM118
        if name in state.dict:
            if is_whole or name in state.committed_state:
                # JSON may be changed in place without being written.
                value = state.dict[name]
                yield name, deepcopy(value) if isinstance(value, dict | list) else value
        elif name in state.expired_attributes:
            yield name, _NOT_LOADED
