"""Looking at what is new on the hospital's server: a window of its own time, page by page.

    a whole look   from a while before what was read for certain, up to now; it alone moves that on
    a short look   after a call: from the newest that was seen, for a type

The window is one of the server's time, taken from what it stored and from the Date of its answers; our own
clock has no say. Where its clock was set back since the last whole look, what it stored since has earlier
times than the window: then the window begins as much earlier. A resource shows up only after the transaction
that stored it, which may have taken as long as `SETTLE_S`; windows overlap by more than that.

http://hl7.org/fhir/R4/search.html#lastUpdated
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from service import log
from service.hospital import theirs
from service.hospital.answers import Answer, Kind
from service.hospital.settings import Hospital
from service.hospital.storing import Reader
from service.hospital.taking import Stopped, Taking
from service.hospital.wanted import PEOPLE, Question
from service.record import FACTS
from service.store import content, origins, sources
from service.store.origins import GONE, Origin
from service.store.resources import Identity
from service.store.sources import Claim, Window

Json = Mapping[str, Any]
#: called before each question; raises `LeaseLost` where another process reads
Renew = Callable[[], None]

#: resources of a page
COUNT = 200
#: besides the longest that the server works on a transaction
OVERLAP_S = 30.0
#: By less a clock is not seen to be set back: a Date has whole seconds, and a look takes its time. The
#: overlap covers it.
SET_BACK_S = 15.0
#: what a call announces is as good as visible; the whole look finds the rest
SHORT_OVERLAP_S = 5.0
#: a call comes within seconds; what is older when it is found was not announced
ANNOUNCED_S = 15.0
#: how much that was set aside is tried again after a whole look
RETRIED = 20
RESULT, REPORT = "Observation", "DiagnosticReport"
#: of how many that were taken in it is asked in one round whether they are still there
CHECKED = 100
CHECKED_TYPES = (*FACTS, "BodyStructure", "Patient", "Practitioner", "PractitionerRole", "Organization")
#: what one answer may be that says nothing of the others
UNREADABLE = (Kind.NOT_FHIR, Kind.TOO_LONG)
NOT_THERE = (Kind.GONE, Kind.NOT_FOUND, Kind.FORBIDDEN)

START: Identity = ("", "")
FINE = Answer(kind=Kind.TAKEN)

logger = log.get()


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far one look at a type has come."""

    until: datetime | None
    reached: datetime | None
    #: what time it was there when the look began: what has a later one was changed meanwhile, and the list is
    #: not in the order of that time
    date: datetime | None
    #: what was seen is in the order of its times
    sorted: bool = True
    #: the first answer that was no good and concerns one resource alone
    odd: Answer | None = None


class Feed:
    """Asks one server for what is new, while it holds the lease."""

    def __init__(
        self, reader: Reader, hospital: Hospital, taking: Taking, claim: Claim, renew: Renew
    ) -> None:
        """Prepare; nothing is asked yet."""
        self._reader = reader
        self._hospital = hospital
        self._taking = taking
        self._claim = claim
        self._renew = renew
        #: what time it was there lately
        self._date: datetime | None = None

    def look(
        self, questions: Sequence[Question], *, whole: bool, announced: Collection[str] = ()
    ) -> tuple[Answer, bool]:
        """Take in what is new of these.

        After an answer that says something of all questions, the rest waits for the next look.

        Args:
            announced: types for which the server has called.

        Returns:
            The first answer that was no good, if any, and whether the look came to its end.

        Raises:
            LeaseLost: another process reads.
        """
        said, some = FINE, False
        for question in questions:
            told = not whole or question.type in announced or self._hospital.read != "subscription"
            answer = self._ask(question, whole=whole, told=told)
            if answer.of_all:
                return answer, False
            said = said if not said.taken else answer
            some = some or (answer.taken and answer is not FINE)
        return said, some or said.taken

    def retry(self) -> Answer:
        """Try again what was set aside and is due.

        Raises:
            LeaseLost: another process reads.
        """
        with self._reader.database.transaction() as tx:
            due = origins.due_aside(tx, RETRIED, tenant=self._reader.tenant, server=self._reader.server)
        for aside in due:
            if aside.stamp.startswith(GONE):
                self._again_gone(aside.theirs)
                continue
            answer = self._read_one(aside.theirs)
            if not answer.taken:
                # Else it would come first again, and nothing after it would ever be tried.
                self._taking.storing.postpone(aside)
            if answer.of_all:
                return answer
        return FINE

    def check(self, after: Identity = START) -> tuple[Answer, Identity | None]:
        """Ask whether some of what was taken in is still there, and as it was.

        Args:
            after: the last that was asked for; what follows it is asked for now.

        Returns:
            The first answer that was no good, if any, and the last that was asked for; None: no more follow.

        Raises:
            LeaseLost: another process reads.
        """
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            known = origins.after(tx, after, CHECKED, types=CHECKED_TYPES, tenant=tenant, server=server)
        if not known:
            return FINE, None
        type_ = known[0].type
        of_type = [origin for origin in known if origin.type == type_]
        more = len(of_type) < len(known) or len(known) == CHECKED
        last = of_type[-1].theirs if more else None
        # Also what was removed: a server that was restored has it again, with its old time.
        asked = {origin.their_id: origin for origin in of_type}
        self._renew()
        parameters = {"_id": ",".join(asked), "_count": str(len(asked))}
        answer = self._reader.connection.search(type_, parameters)
        if not answer.taken and answer.kind not in UNREADABLE:
            return answer, last
        found = [b for b in theirs.resources(answer.body) if b.get("resourceType") == type_]
        there = [b for b in found if (theirs.identity(b) or START)[1] in asked]
        try:
            self._taking.take(there)
            for id_ in asked.keys() - {str(b["id"]) for b in there}:
                if not asked[id_].stamp.startswith(GONE):
                    self._look_after(asked[id_])
        except Stopped as stopped:
            return stopped.answer, last
        return FINE, last

    def _look_after(self, origin: Origin) -> None:
        """Read one that was taken in and is not among what was found: it may be removed.

        Raises:
            Stopped: the server answers badly.
        """
        self._renew()
        read = self._reader.connection.read(*origin.theirs)
        if read.taken:
            self._taking.take([read.body])
        elif read.kind is Kind.GONE:
            self._taking.storing.withdraw(origin)
        elif read.of_server and read.kind not in (*NOT_THERE, *UNREADABLE):
            raise Stopped(read)

    def _ask(self, question: Question, *, whole: bool, told: bool) -> Answer:
        """Look at one type, from where its window stands.

        Args:
            told: the server has called for what there is, or does not call.
        """
        with self._reader.database.transaction() as tx:
            window = sources.window(tx, self._claim, question.type, question.digest)
        start = self._start(question, window, whole=whole)
        if start is None and question.type == PEOPLE:
            # Who is known was read when something of theirs came; what time it is there nobody has said yet.
            return FINE
        try:
            first = self._page(question.type, self._since(question, start))
            if whole and (earlier := self._set_back(window, start, first.date)) is not None:
                logger.info("reading_begins_earlier", type=question.type)
                start = earlier
                first = self._page(question.type, self._since(question, start))
            progress = _Progress(until=window.until, reached=window.reached, date=first.date)
            if window.until is None and start is not None:
                progress.until = start
            pages = self._pages(first)
            if first.kind in UNREADABLE:
                pages = self._one_by_one(question.type, self._since(question, start))
            for page in pages:
                due_before = None if told else self._due_before(page.date, window)
                self._take(question, page, progress, due_before, whole=whole)
        except Stopped as stopped:
            return stopped.answer
        if whole:
            known = [at for at in (progress.reached or progress.until, first.date) if at is not None]
            progress.until = min(known, default=None)
        self._move(question, progress, whole=whole)
        return progress.odd or Answer(kind=Kind.TAKEN, status=first.status, skew_s=first.skew_s)

    def _start(self, question: Question, window: Window, *, whole: bool) -> datetime | None:
        """Return from which moment of the server's time on is asked; None: from the beginning."""
        if window.until is None:
            if question.type == PEOPLE:
                return self._date
            return self._hospital.since
        if whole or window.reached is None:
            return window.until - self._overlap
        return window.reached - timedelta(seconds=SHORT_OVERLAP_S)

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=self._hospital.settle_s + OVERLAP_S)

    def _set_back(self, window: Window, start: datetime | None, date: datetime | None) -> datetime | None:
        """Return where the window must begin because the server's clock was set back; None: it was not.

        What it stored since the last whole look has no earlier time than its present one less what has
        passed since then, whatever was done to the clock meanwhile.
        """
        if start is None or date is None or window.asked_s is None or window.until is None:
            return None
        floor = date - timedelta(seconds=max(0.0, window.asked_s)) - self._overlap
        return floor if floor < start - timedelta(seconds=SET_BACK_S) else None

    @staticmethod
    def _since(question: Question, start: datetime | None) -> dict[str, str]:
        """Return the parameters by which is asked for what was stored since."""
        since = {"_lastUpdated": f"ge{content.instant(start)}"} if start is not None else {}
        return {**question.parameters, "_sort": "_lastUpdated", "_count": str(COUNT), **since}

    def _page(self, type_: str, parameters: Mapping[str, str]) -> Answer:
        """Return the first page of a search; one that is no good may be asked for otherwise.

        Raises:
            Stopped: the server answers badly.
        """
        self._renew()
        return self._good(self._reader.connection.search(type_, parameters))

    def _good(self, answer: Answer) -> Answer:
        if not answer.taken and answer.kind not in UNREADABLE:
            raise Stopped(answer)
        if answer.date is not None:
            self._date = answer.date
        return answer

    def _pages(self, first: Answer) -> Iterator[Answer]:
        """Yield the page and all that follow.

        Raises:
            Stopped: the server answers badly, or leads round in circles.
        """
        page, followed = first, set[str]()
        while True:
            yield page
            link = theirs.next_page(page.body)
            if link is None:
                return
            if link in followed:
                raise Stopped(Answer(kind=Kind.FAILED_INSIDE, status=page.status))
            followed.add(link)
            self._renew()
            page = self._reader.connection.follow(link)
            if not page.taken:
                raise Stopped(page)

    def _one_by_one(self, type_: str, parameters: Mapping[str, str]) -> Iterator[Answer]:
        """Yield pages of one resource each, where a page of many cannot be read.

        One that is longer than any answer may be, or is no JSON that is read, must not hide the others.

        Raises:
            Stopped: even the list of what there is cannot be read.
        """
        first = self._page(type_, {**parameters, "_elements": "id,meta"})
        if not first.taken:
            raise Stopped(first)
        for page in self._pages(first):
            for listed in self._taking.fresh(theirs.resources(page.body)):
                identity = theirs.identity(listed) or START
                self._renew()
                read = self._reader.connection.read(*identity)
                if read.taken:
                    yield replace(read, body={"entry": [{"resource": read.body}]})
                elif read.kind in UNREADABLE:
                    self._taking.storing.set_aside(identity, theirs.stamp(listed), read.kind, "")
                elif read.of_server and read.kind not in NOT_THERE:
                    raise Stopped(read)

    def _take(
        self,
        question: Question,
        page: Answer,
        progress: _Progress,
        due_before: datetime | None,
        *,
        whole: bool,
    ) -> None:
        found = theirs.resources(page.body)
        other = [body for body in found if body.get("resourceType") != question.type]
        if other:
            progress.odd = Answer(kind=Kind.MIXED_UP, status=page.status, said=question.type)
        wanted = [body for body in found if question.wants(body)]
        if question.type == PEOPLE:
            wanted = self._taking.known_people(wanted)
        fresh = self._taking.fresh(wanted)
        if fresh:
            # Together: a preliminary report that came after its results could hold them back no more.
            reports = self._reports(fresh) if question.type == RESULT else []
            self._taking.take([*reports, *fresh], due_before=due_before)
        times = [at for body in found if body not in other and (at := theirs.time(body))]
        before = progress.reached
        progress.sorted = progress.sorted and times == sorted(times)
        if times:
            progress.reached = max(*times, before) if before else max(times)
        more = bool(theirs.next_page(page.body)) and progress.sorted
        late = bool(times and progress.date and times[-1] > progress.date)
        if whole and more and not late and times and (progress.until is None or times[-1] > progress.until):
            # Everything before it has been seen, so that a look that is cut off need not begin anew.
            progress.until = times[-1]
            self._move(question, progress, whole=False)

    def _reports(self, results: Sequence[Json]) -> list[Json]:
        """Return the reports of results, whatever their codes: a preliminary one holds its results back.

        Raises:
            Stopped: the server answers badly, other than that it cannot search for them.
        """
        named = [f"{RESULT}/{body['id']}" for body in results]
        parameters = {"result": ",".join(named), "_count": str(COUNT)}
        self._renew()
        first = self._reader.connection.search(REPORT, parameters)
        if first.kind is Kind.REFUSED:
            logger.warning("reports_not_searched", said=first.said)
            return []
        pages = self._pages(self._good(first))
        if first.kind in UNREADABLE:
            pages = self._one_by_one(REPORT, parameters)
        found = [b for page in pages for b in theirs.resources(page.body) if b.get("resourceType") == REPORT]
        return [b for b in found if theirs.results(b, self._reader.server) & set(named)]

    @staticmethod
    def _due_before(date: datetime | None, window: Window) -> datetime | None:
        """Return what should have been announced by a call: what came since, and is not of just now."""
        if date is None or window.until is None:
            return None
        return date - timedelta(seconds=ANNOUNCED_S)

    def _move(self, question: Question, progress: _Progress, *, whole: bool) -> None:
        with self._reader.database.transaction() as tx:
            sources.move(
                tx,
                self._claim,
                question.type,
                question.digest,
                until=progress.until,
                reached=progress.reached,
                whole=whole,
            )

    def _read_one(self, identity: Identity) -> Answer:
        self._renew()
        answer = self._reader.connection.read(*identity)
        if answer.taken:
            try:
                reports = self._reports([answer.body]) if identity[0] == RESULT else []
                self._taking.take([*reports, answer.body], again=True)
            except Stopped as stopped:
                return stopped.answer
        elif answer.kind is Kind.GONE or (answer.kind is Kind.NOT_FOUND and answer.fhir):
            with self._reader.database.transaction() as tx:
                origins.settled(tx, identity, tenant=self._reader.tenant, server=self._reader.server)
            return FINE
        return answer

    def _again_gone(self, identity: Identity) -> None:
        tenant, server = self._reader.tenant, self._reader.server
        with self._reader.database.transaction() as tx:
            origin = origins.latest(tx, [identity], tenant=tenant, server=server).get(identity)
        if origin is not None:
            self._taking.storing.withdraw(origin)
