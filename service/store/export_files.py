"""The files of exports, in pieces: all nodes share the database and no disk.

A piece is one page of lines. Nothing reads more than one at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, insert, text

from service.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file: resources of one type, one to a line."""

    number: int
    #: output, deleted or error
    kind: str
    type: str
    lines: int
    #: bytes
    size: int
    #: pieces
    chunks: int


def of(tx: Connection, id_: str, *, tenant: int) -> list[File]:
    """Return the files of an export, in their order."""
    statement = """
        SELECT file AS number, kind, type, sum(lines)::bigint AS lines, sum(size)::bigint AS size,
            count(*)::int AS chunks
        FROM export_chunk WHERE tenant = :tenant AND export = :id GROUP BY file, kind, type ORDER BY file
    """
    return [File(**row) for row in tx.execute(text(statement), {"tenant": tenant, "id": id_}).mappings()]


def patients(tx: Connection, id_: str, file: int, *, tenant: int) -> list[str]:
    """Return whose data a file holds."""
    statement = """
        SELECT DISTINCT unnest(patients) FROM export_chunk
        WHERE tenant = :tenant AND export = :id AND file = :file
    """
    return list(tx.execute(text(statement), {"tenant": tenant, "id": id_, "file": file}).scalars())


def chunk(tx: Connection, id_: str, file: int, number: int, *, tenant: int) -> str | None:
    """Return one piece of a file; None: it is no longer there."""
    statement = """
        SELECT body FROM export_chunk
        WHERE tenant = :tenant AND export = :id AND file = :file AND number = :number
    """
    names = {"tenant": tenant, "id": id_, "file": file, "number": number}
    found: str | None = tx.execute(text(statement), names).scalar_one_or_none()
    return found


def add(
    tx: Connection, id_: str, file: File, body: str, lines: int, patients: Iterable[str], *, tenant: int
) -> File:
    """Add a piece to a file and return the file with it.

    Args:
        body: lines, each with its end.
    """
    size = len(body.encode())
    tx.execute(
        insert(tables.export_chunk).values(
            tenant=tenant,
            export=id_,
            file=file.number,
            number=file.chunks,
            kind=file.kind,
            type=file.type,
            lines=lines,
            size=size,
            patients=sorted(set(patients)),
            body=body,
        )
    )
    return replace(file, lines=file.lines + lines, size=file.size + size, chunks=file.chunks + 1)
