"""Random hips for the rules and their second reading: values and days lie on and around every limit."""

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rule_model import (
    CHANGE,
    CONSENT_IMAGING,
    CONSENT_SURGERY,
    CONTRADICTING,
    DYNAMOMETRY,
    EMERGENCIES,
    GRADE,
    INFLAMMATORY,
    L5,
    MRI,
    NOW,
    ONSET,
    OPENING,
    OPERATIONS,
    PAIN,
    PREGNANCY,
    REPLACEMENT,
    SAFETY,
    SESSIONS,
    STEROID,
    URGENT,
    US,
    XRAY,
    Finding,
    Hip,
    Json,
)

#: days ago: on, just inside and just outside every limit of the site
DAYS = (
    *(0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 20, 27, 28, 29, 30, 31, 35, 40, 41, 42, 43, 45),
    *(56, 70, 83, 84, 85, 89, 90, 91, 98, 126, 168, 179, 180, 181, 182, 183, 200),
)
#: pain before and now: drops that are just enough for progress, or just not
DROPS = tuple(
    (Decimal(before), Decimal(now))
    for before, now in (
        *(("3.1", "2.1"), ("3.03", "2.03"), ("3.05", "2.05"), ("5", "3.35"), ("3", "2"), ("5", "3.4")),
        *(("6", "4"), ("6", "4.1"), ("8", "4"), ("4", "4"), ("5", "5"), ("2", "1"), ("2", "1.1")),
    )
)
NONE = tuple((Decimal(pain), Decimal(pain)) for pain in (4, 5))
#: weeks at which therapy may be called failed
LIMITS = (6, 11, 12, 12, 13, 23, 24, 24)
LONG_AGO = (83, 84, 85, 90, 98, 126, 168)
WEEKS = (0, 1, 5, 6, 7, 11, 12, 13, 18, 23, 24, 25, 30)


def records(seed: int, site: Json) -> Iterator[Hip]:
    """Yield hips without end."""
    rng = random.Random(seed)
    while True:
        yield _Maker(rng, site).hip()


class _Maker:
    def __init__(self, rng: random.Random, site: Json) -> None:
        self._rng = rng
        self._site = site
        self._theme: str | None = None
        self._start = NOW.date()
        self._findings: list[Finding] = []
        self._count = 0

    def hip(self) -> Hip:
        rng = self._rng
        self._theme = rng.choice((None, None, "failing", "failing", "recovering", "operated", "silent"))
        self._findings, self._count = [], 0
        failing = self._theme == "failing"
        weeks = timedelta(weeks=rng.choice(LIMITS if failing else WEEKS), days=rng.choice((-1, 0, 0, 1)))
        self._start = NOW.date() - max(weeks, timedelta(0))
        # A record about everything at once decides nothing: each is about a few things.
        much = 0.15 if self._theme == "silent" else rng.choice((0.15, 0.4, 0.8))
        strong = self._theme == "recovering" or (self._theme == "failing" and rng.random() < 0.5)
        hurts = 0.1 if strong else 0.6
        for code in (*CONTRADICTING, "lateral-thigh-pain"):
            self._some(code, much, lambda: rng.random() < hurts)
        weakest = 5 if strong else 1
        self._some(
            GRADE, much, lambda: Decimal(rng.randint(weakest, 5)), most=6 if self._theme == "operated" else 4
        )
        if rng.random() < 0.15:
            day = rng.choice((0, 1, 25, 26))
            self._add(GRADE, Decimal(rng.choice((2, 3, 4))), days=[day + rng.choice((2, 3, 3, 4))])
            self._add(GRADE, Decimal(rng.choice((4, 5))), days=[day])
        self._some(DYNAMOMETRY, much / 3, lambda: Decimal(rng.choice((79, 80, 81))))
        scores = {"recovering": (0, 1, 2, 2, 3), "failing": (3, 4, 4, 5, 5)}.get(
            self._theme or "", (0, 1, 2, 3, 4, 5, 6, 8)
        )
        lasting = self._theme in ("recovering", "failing")
        self._some(
            PAIN, 1 if lasting else much, lambda: Decimal(rng.choice(scores)), most=8 if lasting else 5
        )
        self._some(CHANGE, much / 3 if lasting else much, lambda: Decimal(rng.choice((-1, 0, 2, 3, 4))))
        self._some(SESSIONS, much, lambda: Decimal(rng.choice((4, 5, 6, 7))))
        self._around_start()
        self._some(ONSET, much, self._onset, most=2)
        self._some(
            XRAY, much / 2, lambda: rng.choice(("radiograph-negative", "radiograph-osteoarthritis-kl3"))
        )
        if rng.random() < 0.1:
            self._some(XRAY, 1, lambda: rng.choice(("radiograph-fracture", "radiograph-destructive-lesion")))
        for code in (MRI, US):
            self._some(code, 0.7 if failing else much / 1.5, self._image, most=2)
        if self._theme == "operated":
            since = rng.choice(LONG_AGO)
            self._add(OPERATIONS[0], None, [since])
            self._add(GRADE, Decimal(rng.choice((4, 5))), [since - rng.choice((41, 42, 43))])
            self._add(GRADE, Decimal(rng.choice((3, 4))), [rng.choice((0, 0, 27, 28, 29))])
        self._some(CONSENT_IMAGING, 0.3, lambda: rng.choice(("consent-declined", "consent-accepted")))
        self._some(CONSENT_SURGERY, 0.3, lambda: rng.choice(("consent-declined", "consent-accepted")))
        statuses = ("cleared", "conditional", "contraindicated", "unknown")
        self._some(SAFETY, 0.6, lambda: f"mri-safety-{rng.choice(statuses)}")
        answers = ("yes", "possible", "no", "unknown")
        self._some(PREGNANCY, 0.4, lambda: f"pregnancy-{rng.choice(answers)}")
        for code in OPERATIONS:
            self._some(code, 0.05, lambda: None)
        self._some(STEROID, 0.2, lambda: None)
        self._some(REPLACEMENT, 0.1, lambda: rng.random() < 0.7)
        self._some(L5, 0.1, lambda: rng.random() < 0.7)
        self._some(INFLAMMATORY, 0.1, lambda: rng.random() < 0.7)
        for name in (*EMERGENCIES, *URGENT):
            self._some(f"red-flag-{name}", 0.06, lambda: rng.random() < 0.7)
        for code in OPENING[-10:]:
            self._some(code, 0.02, lambda: Decimal(10))
        # In the order of receipt, which is not that of time.
        rng.shuffle(self._findings)
        chosen = self._chosen()
        return Hip(
            findings=tuple(self._findings),
            site=self._site | chosen,
            chosen=chosen,
            state=self._state(),
            item=self._item(),
            birth=rng.choice(
                (
                    *(date(2008, 6, 14), date(2008, 6, 15), date(2008, 6, 16), date(1970, 6, 14)),
                    *(date(1970, 6, 15), date(1970, 6, 16), date(1971, 1, 1), date(2014, 6, 15)),
                    *(date(2014, 6, 16), date(1956, 1, 1), date(1990, 1, 1)),
                )
            ),
            gender=rng.choice(("male", "female", "female")),
            reports=self._reports(),
        )

    def _around_start(self) -> None:
        """Add findings around the beginning of therapy, on days that count and that just do not."""
        rng = self._rng
        ago = (NOW.date() - self._start).days
        if rng.random() < (0.8 if self._theme == "failing" else 0.4):
            before, now = rng.choice(NONE if self._theme == "failing" else DROPS)
            self._add(PAIN, before, days=[max(0, ago + rng.choice((-8, -7, 0, 0, 27, 28, 29)))])
            self._add(PAIN, now, days=[rng.choice((0, 1, 13, 14))])
        for code, value in ((SESSIONS, 6), (CHANGE, 3)):
            if rng.random() < 0.3:
                self._add(code, Decimal(value), days=[max(0, ago + rng.choice((-1, 0, 0, 1)))])

    def _add(self, code: str, value: Any, days: Sequence[int], *, sided: bool = True) -> None:
        self._count += 1
        self._findings.append(Finding(f"f{self._count}", code, self._at(days), value, sided))

    def _some(self, code: str, often: float, value: Any, most: int = 3, days: Sequence[int] = DAYS) -> None:
        for _ in range(self._rng.randint(1, most) if self._rng.random() < often else 0):
            sided = not code.startswith("red-flag") or self._rng.random() < 0.7
            self._add(code, value(), days, sided=sided)

    def _at(self, days: Sequence[int] = DAYS) -> datetime:
        if days is DAYS and self._theme == "silent":
            days = [day for day in DAYS if day > 40]
        day = NOW - timedelta(days=self._rng.choice(days))
        return day - timedelta(minutes=self._rng.choice((0, 0, 1, 60, 61, 300)))

    def _reports(self) -> tuple[Finding, ...]:
        code = self._rng.choice((XRAY, MRI, US))
        return tuple(
            Finding(f"report-{number}", code, self._at()) for number in range(self._rng.choice((0, 1, 2, 3)))
        )

    def _onset(self) -> Json:
        answer = self._rng.choice(("onset-traumatic", "onset-traumatic", "onset-insidious", "onset-unknown"))
        tomorrow = NOW.date() + timedelta(days=1)
        days = (89, 90, 90, 91) if self._theme == "failing" else DAYS
        day = tomorrow if self._rng.random() < 0.1 else self._at(days).date()
        dated = {"date": day} if self._rng.random() < 0.8 else {}
        return {"answer": answer, **dated}

    def _image(self) -> Json:
        rng = self._rng
        tears = ("tear-none", "tear-full-thickness", "tear-partial-thickness", "tendinosis", "bursitis-only")
        tears = tears[1:3] if self._theme == "failing" else tears
        other = ("fracture", "infection", "tumour", "avascular-necrosis", "other")
        return {
            "tear-thickness": rng.choice(tears),
            **({"goutallier-grade": Decimal(rng.randint(1, 4))} if rng.random() < 0.7 else {}),
            **(
                {"tendon-retraction": rng.choice((Decimal("1.9"), Decimal(2), Decimal("2.1")))}
                if rng.random() < 0.7
                else {}
            ),
            **({"alternative-diagnosis": f"alternative-{rng.choice(other)}"} if rng.random() < 0.1 else {}),
        }

    def _chosen(self) -> Json:
        choices = {
            "weakPain.acceptUnknownProgress": True,
            "imaging.softTissueFirst": "us",
            "pregnancy.imaging": "decide-first",
        }
        return {name: value for name, value in choices.items() if self._rng.random() < 0.3}

    def _state(self) -> Json:
        rng = self._rng
        stages = ("assessment", "conservative-therapy", "imaging", "surgical-referral", "post-operative")
        ids = [f.id for f in self._findings]
        flags = [
            f"{class_}|{f.code}|{f.id}"
            for f in self._findings
            for class_ in ("emergency", "urgent")
            if f.code.startswith("red-flag")
        ]

        def day(often: float) -> date | None:
            return (NOW - timedelta(days=rng.choice(DAYS))).date() if rng.random() < often else None

        def until(often: float) -> date | None:
            return NOW.date() + timedelta(days=rng.choice((-1, 0, 1, 30))) if rng.random() < often else None

        return {
            "Stage": rng.choice(stages),
            "Stage Before": rng.choice((*stages, None)),
            "Stage Entered": day(0.9),
            "Stay": rng.randint(1, 4),
            "Opened": day(1),
            "Other Side Stage": rng.choice((None, None, "discharged", "imaging")),
            "Any Side Known": rng.choice((None, False, True, True)),
            "Therapy Start": self._start if rng.random() < 0.9 else None,
            "Decision Stage": rng.choice((None, *stages)),
            "Dose Attested": rng.choice((None, False, True)),
            "Therapy Closed": rng.choice((None, False, True)),
            "Acute Floor": rng.choice((None, day(0.5), *(f.day for f in self._findings if f.code == GRADE))),
            "Imaging Declined Until": until(0.4),
            "Grade When Declined": rng.choice((None, Decimal(3), Decimal(4))),
            "Referral Refused Until": until(0.4),
            "Discharged On": day(0.5),
            "Operations Counted": rng.sample(ids, min(3, len(ids))) or None,
            "Causes Handled": rng.sample(flags, len(flags) // 2) or None,
            "Acknowledged": [
                *rng.sample(ids, min(2, len(ids))),
                *(n for n in ("exclusion-arthroplasty", "exclusion-paediatric") if rng.random() < 0.2),
            ]
            or None,
        }

    def _item(self) -> Json:
        rng = self._rng

        def moment() -> datetime:
            hours = rng.choice((0, 1, 1, 24, 24, 47, 48, 49, 72))
            about = timedelta(hours=hours, seconds=rng.choice((-1, 0, 1)))
            late = timedelta(days=rng.choice((0, 0, 2, 3, 7, 8, 14, 15, 42, 43)))
            return NOW - about - late

        made = moment()
        return {
            "Item Kind": rng.choice(("XR", "MRI", "US", "SURG", "PT")),
            "Item State": rng.choice(("draft", "active", "completed")),
            "Item Priority": rng.choice(("urgent", "routine")),
            "Item Made": made,
            "Item Since": moment(),
            "Item Signed": moment(),
            "Item Acknowledged": rng.choice((None, False, False, True)),
            "Item Class": rng.choice(("emergency", "emergency", "urgent", "specialist", "routine")),
        }
