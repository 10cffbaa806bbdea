"""A second reading of the clinical rules, in plain Python: what the CQL library must answer for one hip.

Written from clinical-rules.md, section by section, and not from the CQL; where the two differ for a record,
one of them has misread the rules. `random_hips` makes hips to ask both about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

OURS = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
LOINC = "http://loinc.org"
NOW = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)

EMERGENCIES = ("fracture", "infection", "cauda-equina", "vascular", "thrombosis")
URGENT = ("tumour", "avascular-necrosis", "neurological")
#: findings of yes or no that contradict one another within hours
CONTRADICTING = (
    *("groin-dominant-pain", "greater-trochanter-tenderness", "pain-on-resisted-hip-abduction"),
    *("pain-on-single-leg-stance", "pain-on-adduction-with-resistance", "trendelenburg-gait", "hip-lag-sign"),
)
LOADING = (
    *("pain-on-resisted-hip-abduction", "pain-on-single-leg-stance", "pain-on-adduction-with-resistance"),
)
PAIN, GRADE, CHANGE = "72514-3", "hip-abduction-strength-mmt", "groc"
DYNAMOMETRY, SESSIONS = "hip-abduction-strength-dynamometry", "physiotherapy-sessions-completed"
ONSET, XRAY, MRI, US = (
    *("symptom-onset", "hip-radiograph-conclusion"),
    *("mri-gluteal-tendon-finding", "ultrasound-gluteal-tendon-finding"),
)
STEROID, REPLACEMENT, L5 = (
    *("trochanteric-bursa-corticosteroid-injection", "hip-arthroplasty-in-situ"),
    "l5-deficit",
)
CONSENT_IMAGING, CONSENT_SURGERY = "consent-imaging", "consent-surgery"
SAFETY, PREGNANCY, INFLAMMATORY = "mri-safety-status", "82810-3", "inflammatory-joint-pattern"
OPERATIONS = (
    *("endoscopic-gluteus-medius-repair", "open-gluteus-medius-repair"),
    *("gluteus-maximus-flap-transfer", "gluteus-medius-patch-augmentation"),
)
#: inputs that open a hip by being there
OPENING = (
    *(PAIN, "lateral-thigh-pain", *CONTRADICTING, GRADE, DYNAMOMETRY, CHANGE, ONSET, MRI, US, "visa-g-total"),
    *("modified-harris-hip-score", "hos-adl-score", "ihot-12-total", "trendelenburg-sign"),
    *("pain-on-resisted-external-derotation", "pain-on-fader-with-resistance"),
    *("pain-on-resisted-internal-rotation", "broken-wing-rotation", "single-leg-stance-time"),
)
#: others that say that the hip was heard of
HEARD = (SESSIONS, XRAY, REPLACEMENT, L5, CONSENT_IMAGING, CONSENT_SURGERY, STEROID, *OPERATIONS)
REPORTS = {"XR": XRAY, "MRI": MRI, "US": US}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One accepted input. `value`: a truth value, an amount, a code, or those by the code of their part."""

    id: str
    code: str
    at: datetime
    value: Any = None
    sided: bool = True

    @property
    def day(self) -> date:
        """Return its calendar day."""
        return self.at.date()


@dataclass(slots=True)
class Hip:
    """One hip at a moment: findings in the order of receipt, what is remembered, and one order or Task."""

    findings: Sequence[Finding]
    site: Json
    state: Json
    item: Json
    birth: date
    gender: str
    now: datetime = NOW
    reports: Sequence[Finding] = field(default_factory=tuple)
    #: what of the site's values is not the default
    chosen: Json = field(default_factory=dict)

    # -- reading (2.2, 5) --

    @property
    def today(self) -> date:
        """Return the calendar day of the moment."""
        return self.now.date()

    def ago(self, day: date | None) -> int:
        """Return how many calendar days ago a day is; for none, longer than any limit."""
        return (self.today - day).days if day else 10**6

    def all(self, *codes: str) -> list[Finding]:
        """Return the findings with these codes by their time; among equals, the later received last."""
        return sorted((f for f in self.findings if f.code in codes), key=lambda f: f.at)

    def latest(self, code: str, lookback: str) -> Finding | None:
        """Return the latest finding inside its look-back."""
        inside = [f for f in self.all(code) if self.ago(f.day) <= self.site[lookback]]
        return inside[-1] if inside else None

    def value(self, code: str, lookback: str) -> Any:
        """Return the value of the latest finding inside its look-back."""
        found = self.latest(code, lookback)
        return found.value if found else None

    def is_(self, code: str) -> bool:
        """Return whether the latest examination found it."""
        return self.value(code, "lookback.exam") is True

    # -- derived values (5) --

    @property
    def grade(self) -> Any:
        """Return the strength grade."""
        return self.value(GRADE, "lookback.exam")

    def grade_at_most(self, name: str) -> bool:
        """Return whether strength is at most a limit of the site."""
        return self.grade is not None and self.grade <= self.site[name]

    def marked_weak(self) -> bool:
        """Return `markedWeak`."""
        return (
            self.grade_at_most("strength.markedMrcMax")
            or self.is_("hip-lag-sign")
            or self.is_("trendelenburg-gait")
        )

    def weak_by_symmetry(self) -> bool:
        """Return whether `lsi` is low; it is no measure while the other hip is on the pathway."""
        lsi = self.value(DYNAMOMETRY, "lookback.exam")
        alone = self.state.get("Other Side Stage") in (None, "discharged")
        return alone and lsi is not None and lsi < self.site["strength.lsiWeakBelowPct"]

    def weak(self) -> bool:
        """Return `weak`."""
        return self.marked_weak() or self.grade_at_most("strength.weakMrcMax") or self.weak_by_symmetry()

    def weak_pain(self) -> bool:
        """Return `weakPain`: a finding of weakness and one of pain on loading, close together."""
        weak = [
            *(
                [GRADE]
                if self.grade_at_most("strength.weakMrcMax") or self.grade_at_most("strength.markedMrcMax")
                else []
            ),
            *[code for code in ("hip-lag-sign", "trendelenburg-gait") if self.is_(code)],
            *([DYNAMOMETRY] if self.weak_by_symmetry() else []),
        ]
        pairs = [
            (self.latest(one, "lookback.exam"), self.latest(other, "lookback.exam"))
            for one in weak
            for other in LOADING
            if self.is_(other)
        ]
        window = self.site["weakPain.pairWindowDays"]
        return any(abs((one.day - other.day).days) <= window for one, other in pairs if one and other)

    def onset(self) -> tuple[bool, date | None]:
        """Return whether the onset was traumatic, and its day."""
        found = self.all(ONSET)
        if not found:
            return False, None
        return found[-1].value["answer"] == "onset-traumatic", found[-1].value.get("date")

    def acute_by_trauma(self) -> bool:
        """Return `acuteTrauma`."""
        traumatic, day = self.onset()
        return traumatic and day is not None and 0 <= self.ago(day) <= self.site["trauma.acuteDays"]

    def acute_by_loss(self) -> bool:
        """Return `acuteLoss`."""
        last = self.latest(GRADE, "lookback.exam")
        if last is None:
            return False
        low, high = self.site["contradiction.mrcDays"], self.site["strength.acuteLossWindowDays"]
        earlier = [f.value for f in self.all(GRADE) if low < (last.day - f.day).days <= high]
        return bool(earlier) and max(earlier) - last.value >= self.site["strength.acuteLossGrades"]

    def acute_weak(self) -> bool:
        """Return `acute AND markedWeak`."""
        return (self.acute_by_trauma() or self.acute_by_loss()) and self.marked_weak()

    def acute_day(self) -> date | None:
        """Return `acuteDate`."""
        last = self.latest(GRADE, "lookback.exam")
        days = [
            *([self.onset()[1]] if self.acute_by_trauma() else []),
            *([last.day] if self.acute_by_loss() and last else []),
        ]
        return max((day for day in days if day), default=None)

    def floor_moves(self) -> bool:
        """Return whether the acute floor is set or moves later (6)."""
        floor, day = self.state.get("Acute Floor"), self.acute_day()
        return self.acute_weak() and day is not None and (floor is None or day > floor)

    def floor(self) -> date | None:
        """Return the day before which no image counts."""
        return self.acute_day() if self.floor_moves() else self.state.get("Acute Floor")

    @property
    def weeks(self) -> int | None:
        """Return the whole weeks of therapy."""
        start = self.state.get("Therapy Start")
        return None if start is None else int(self.ago(start) / 7)

    def weeks_at_least(self, limit: str | int) -> bool:
        """Return whether therapy has gone on for so many weeks."""
        limit = self.site[limit] if isinstance(limit, str) else limit
        return self.weeks is not None and self.weeks >= limit

    def pain(self) -> Any:
        """Return the pain score."""
        return self.value(PAIN, "lookback.nrs")

    def pain_persists(self) -> bool:
        """Return whether the pain is at least the limit."""
        return self.pain() is not None and self.pain() >= self.site["pain.persistMin"]

    def baseline(self) -> Any:
        """Return the pain score nearest to therapy start; among equals the later."""
        start = self.state.get("Therapy Start")
        if start is None:
            return None
        near = [f for f in self.all(PAIN) if -28 <= (f.day - start).days <= 7]
        if not near:
            return None
        least = min(abs((f.day - start).days) for f in near)
        return [f for f in near if abs((f.day - start).days) == least][-1].value

    def since_start(self, code: str) -> list[Finding]:
        """Return the findings on or after the day of therapy start."""
        start = self.state.get("Therapy Start")
        return [f for f in self.all(code) if start is not None and f.day >= start]

    def highest_with_progress(self) -> Any:
        """Return the highest pain score that still counts as progress; None without a baseline."""
        base = self.baseline()
        if base is None:
            return None
        third = self.site["progress.nrsPct"] * base / Decimal(100)
        return base - min(Decimal(self.site["progress.nrsAbs"]), max(Decimal(1), third))

    def progress(self) -> str:
        """Return `progress`: yes, no, unknown or conflict."""
        by_pain: bool | None = None
        if self.baseline() is not None and self.pain() is not None:
            drop = self.baseline() - self.pain()
            share = drop * 100 >= self.site["progress.nrsPct"] * self.baseline()
            by_pain = drop >= self.site["progress.nrsAbs"] or (drop >= 1 and share)
        rated = [f for f in self.since_start(CHANGE) if self.ago(f.day) <= self.site["lookback.prom"]]
        by_rating = rated[-1].value >= self.site["progress.grocMin"] if rated else None
        known = {answer for answer in (by_pain, by_rating) if answer is not None}
        if len(known) == 2:
            return "conflict"
        return {True: "yes", False: "no"}[known.pop()] if known else "unknown"

    def adequate(self) -> bool:
        """Return `adequate`."""
        sessions = self.since_start(SESSIONS)
        enough = bool(sessions) and sessions[-1].value >= self.site["therapy.minSessions"]
        return enough or self.state.get("Dose Attested") is True

    def failed(self) -> bool:
        """Return `failed`."""
        return self.adequate() and self.progress() == "no" and self.pain_persists()

    # -- images (6) --

    def operation_day(self) -> date | None:
        """Return the day of the last operation on this side."""
        done = self.all(*OPERATIONS)
        return done[-1].day if done else None

    def image(self, code: str) -> Finding | None:
        """Return the latest MRI, or ultrasound, that counts."""
        floor, operated = self.floor(), self.operation_day()
        counting = [
            f
            for f in self.all(code)
            if self.ago(f.day) <= self.site["lookback.mri"]
            and (floor is None or f.day >= floor)
            and (operated is None or f.day > operated)
        ]
        return counting[-1] if counting else None

    def counts(self) -> Finding | None:
        """Return the image that counts."""
        return self.image(MRI) or self.image(US)

    def tear(self, code: str | None = None) -> Any:
        """Return the tear on the image that counts, or on that of a kind."""
        image = self.image(code) if code else self.counts()
        return image.value.get("tear-thickness") if image else None

    def part(self, name: str) -> Any:
        """Return an amount on the image that counts."""
        image = self.counts()
        return image.value.get(name) if image else None

    def radiograph_counts(self) -> bool:
        """Return whether a radiograph counts."""
        floor = self.floor()
        return any(
            self.ago(f.day) <= self.site["lookback.xray"] and (floor is None or f.day >= floor)
            for f in self.all(XRAY)
        )

    # -- surgery and imaging (5, 8) --

    def full_tear_asks(self) -> bool:
        """Return `R1`."""
        late = self.failed() and self.weeks_at_least("surgery.fullTearFailWeeks")
        return self.tear() == "tear-full-thickness" and (self.weak() or late)

    def partial_tear_asks(self) -> bool:
        """Return `R2`."""
        return (
            self.tear(MRI) == "tear-partial-thickness"
            and self.failed()
            and self.weeks_at_least("surgery.partialTearMinWeeks")
        )

    def surgical(self) -> bool:
        """Return `R1 OR R2`."""
        return self.full_tear_asks() or self.partial_tear_asks()

    def declined(self, code: str) -> bool:
        """Return whether the latest consent is a refusal that still holds."""
        return bool(self.value(code, "decline.patientDays") == "consent-declined")

    def consent(self, code: str) -> str | None:
        """Return which consent, or refusal, is the latest."""
        found = self.latest(code, "decline.patientDays")
        return found.id if found else None

    def before(self, name: str) -> bool:
        """Return whether a remembered day has not come."""
        day = self.state.get(name)
        return day is not None and self.today < day

    def clinician_refused(self) -> bool:
        """Return whether a clinician's refusal of imaging stands: strength has not fallen since."""
        grades, then = self.all(GRADE), self.state.get("Grade When Declined")
        fallen = bool(grades) and then is not None and grades[-1].value < then
        return self.before("Imaging Declined Until") and not fallen

    def imaging_open(self) -> bool:
        """Return whether no image counts and none was refused (8.3)."""
        refused = self.declined(CONSENT_IMAGING) or self.clinician_refused()
        return self.counts() is None and not refused

    def acute_or_marked(self) -> bool:
        """Return the clinical condition of T05."""
        return self.marked_weak() and self.weak_pain() and not self.acute_weak()

    def persists(self) -> bool:
        """Return the clinical condition of T06."""
        slow = self.progress() == "no"
        slow = slow or (self.progress() == "unknown" and self.site["weakPain.acceptUnknownProgress"])
        return self.weak_pain() and self.weeks_at_least("weakPain.minTherapyWeeks") and slow

    def therapy_failed(self) -> bool:
        """Return the clinical condition of T07."""
        return self.failed() and self.weeks_at_least("therapy.failWeeks") and not self.persists()

    def retear(self) -> bool:
        """Return the clinical condition of T16."""
        operated = self.operation_day()
        if operated is None or self.ago(operated) < self.site["retear.minDays"]:
            return False
        grades = [f for f in self.all(GRADE) if (f.day - operated).days >= 42]
        if not grades or self.ago(grades[-1].day) > self.site["lookback.exam"]:
            return False
        earlier = [f.value for f in grades if f.at < grades[-1].at]
        fell = bool(earlier) and max(earlier) - grades[-1].value >= 1
        return fell and (self.is_("trendelenburg-gait") or self.pain_persists())

    def declined_would_follow(self) -> bool:
        """Return whether imaging would be proposed, had the patient not declined (8.3)."""
        if not self.declined(CONSENT_IMAGING) or self.counts() or self.clinician_refused():
            return False
        stage = self.state.get("Stage")
        if stage == "post-operative":
            return self.retear()
        early = self.acute_weak() or self.acute_or_marked()
        if stage == "assessment":
            return early
        return stage == "conservative-therapy" and (early or self.persists() or self.therapy_failed())

    # -- imaging set (8.2) and preconditions (9.1) --

    def pregnant(self) -> bool:
        """Return whether pregnancy is certain or possible."""
        found = self.value(PREGNANCY, "lookback.pregnancy")
        return found in ("pregnancy-yes", "pregnancy-possible")

    def safety(self) -> Any:
        """Return the MRI safety status."""
        return self.value(SAFETY, "lookback.mriSafety")

    def ultrasound_first(self) -> bool:
        """Return whether ultrasound takes the place of MRI."""
        return self.safety() == "mri-safety-contraindicated" or self.site["imaging.softTissueFirst"] == "us"

    def proposes(self, kind: str) -> bool:
        """Return whether the imaging set holds a kind of image."""
        if self.pregnant():
            return kind == "US" and self.site["pregnancy.imaging"] == "us-first"
        return {"XR": not self.radiograph_counts(), "US": self.ultrasound_first()}.get(
            kind, not self.ultrasound_first()
        )

    def age(self) -> int:
        """Return the age in years."""
        had = (self.today.month, self.today.day) >= (self.birth.month, self.birth.day)
        return self.today.year - self.birth.year - (not had)

    def missing(self) -> list[str]:
        """Return what a signature of the order lacks."""
        kind = self.item["Item Kind"]
        fertile = self.site["pregnancy.ageMin"] <= self.age() <= self.site["pregnancy.ageMax"]
        no = self.value(PREGNANCY, "lookback.pregnancy") == "pregnancy-no"
        excluded = not self.pregnant() and (no or self.gender == "male" or not fertile)
        routine = self.item["Item Priority"] == "routine"
        return [
            *(["mri-safety-not-cleared"] if kind == "MRI" and self.safety() != "mri-safety-cleared" else []),
            *(["pregnancy-status-unknown"] if kind in ("MRI", "XR") and not excluded else []),
            *(
                ["radiograph-not-reported"]
                if kind == "MRI" and routine and not self.radiograph_counts()
                else []
            ),
        ]

    # -- red flags and exclusions (13) --

    def acknowledged(self, id: str) -> bool:
        """Return whether a clinician has seen what it names."""
        return id in (self.state.get("Acknowledged") or ())

    def _new(self, causes: list[str]) -> list[str]:
        handled = self.state.get("Causes Handled") or ()
        return [c for c in causes if c not in handled and not self.acknowledged(c.rpartition("|")[2])]

    def red_flags(self) -> list[str]:
        """Return the causes of T01 that were not handled, most urgent first: `class|cause|id`."""
        return self._new(self.known_flags())

    def known_flags(self) -> list[str]:
        """Return the causes of T01, handled or not."""
        image = {kind: self.latest(code, "lookback.mri") for kind, code in (("mri", MRI), ("us", US))}
        xray = self.latest(XRAY, "lookback.xray")

        def positive(name: str, class_: str) -> list[str]:
            found = [f for f in self.all(f"red-flag-{name}") if f.value is True]
            inside = [f for f in found if self.ago(f.day) <= self.site["lookback.redFlag"]]
            return [f"{class_}|red-flag-{name}|{f.id}" for f in inside]

        def shown(cause: str, class_: str) -> list[str]:
            images = [f for f in image.values() if f and f.value.get("alternative-diagnosis") == cause]
            return [f"{class_}|{cause}|{f.id}" for f in images]

        def seen(conclusion: str, class_: str) -> list[str]:
            return [f"{class_}|{conclusion}|{xray.id}"] if xray and xray.value == conclusion else []

        return [
            *(cause for name in EMERGENCIES for cause in positive(name, "emergency")),
            *seen("radiograph-fracture", "emergency"),
            *shown("alternative-fracture", "emergency"),
            *shown("alternative-infection", "emergency"),
            *(cause for name in URGENT for cause in positive(name, "urgent")),
            *seen("radiograph-destructive-lesion", "urgent"),
            *(
                cause
                for name in ("tumour", "avascular-necrosis", "other")
                for cause in shown(f"alternative-{name}", "urgent")
            ),
        ]

    def old_flags(self) -> list[str]:
        """Return red flags that were older than their look-back."""
        return self._new(
            [
                f"{class_}|red-flag-{name}|{f.id}"
                for names, class_ in ((EMERGENCIES, "emergency"), (URGENT, "urgent"))
                for name in names
                for f in self.all(f"red-flag-{name}")
                if f.value is True and self.ago(f.day) > self.site["lookback.redFlag"]
            ]
        )

    def replaced(self) -> bool:
        """Return whether the hip was replaced and nobody has seen it."""
        found = self.all(REPLACEMENT)
        seen = found and (self.acknowledged("exclusion-arthroplasty") or self.acknowledged(found[-1].id))
        return bool(found) and found[-1].value is True and not seen

    def l5(self) -> bool:
        """Return whether there is a deficit that nobody has seen."""
        found = self.latest(L5, "lookback.exam")
        return found is not None and found.value is True and not self.acknowledged(found.id)

    def arthritis(self) -> bool:
        """Return whether advanced arthritis with groin pain excludes the hip."""
        found = self.latest(XRAY, "lookback.xray")
        kl3 = found is not None and found.value == "radiograph-osteoarthritis-kl3"
        return kl3 and self.is_("groin-dominant-pain") and not self.acknowledged(found.id if found else "")

    # -- contradictions (5) --

    def contradictions(self) -> set[str]:
        """Return the pairs that exclude each other: `code|earlier|latest`."""
        found = set()
        inside = {
            code: [f for f in self.all(code) if self.ago(f.day) <= self.site["lookback.exam"]]
            for code in (*CONTRADICTING, GRADE)
        }
        for code in CONTRADICTING:
            for earlier in inside[code][:-1]:
                last = inside[code][-1]
                close = last.at - earlier.at < timedelta(hours=self.site["contradiction.boolHours"])
                if close and earlier.value != last.value:
                    found.add(f"{code}|{earlier.id}|{last.id}")
        for earlier in inside[GRADE][:-1]:
            last = inside[GRADE][-1]
            differs = abs(earlier.value - last.value) >= self.site["contradiction.mrcGrades"]
            if differs and (last.day - earlier.day).days <= self.site["contradiction.mrcDays"]:
                found.add(f"{GRADE}|{earlier.id}|{last.id}")
        return found

    # -- standing work (11) --

    def checkpoint(self) -> int | None:
        """Return the last checkpoint that was reached, in weeks."""
        step = self.site["review.checkpointWeeks"]
        return next((weeks for weeks in (4 * step, 2 * step, step) if self.weeks_at_least(weeks)), None)

    def outcome_missing(self) -> bool:
        """Return whether no outcome was recorded around the checkpoint."""
        weeks, start = self.checkpoint(), self.state.get("Therapy Start")
        if weeks is None or start is None:
            return False
        day = start + timedelta(weeks=weeks)
        near = [(PAIN, "lookback.nrs"), (CHANGE, "lookback.prom")]
        return not any(
            (day - f.day).days <= self.site[lookback] for code, lookback in near for f in self.all(code)
        )

    def relapsed(self) -> bool:
        """Return whether pain had fallen in therapy and rose again."""
        best = min((f.value for f in self.since_start(PAIN)), default=None)
        if best is None or self.baseline() is None or not self.pain_persists():
            return False
        fell = best <= self.baseline() - self.site["progress.nrsAbs"]
        return bool(fell and self.pain() >= best + self.site["relapse.nrsRise"])

    def discharge(self) -> bool:
        """Return whether low pain has lasted and there is no weakness."""
        scores = self.since_start(PAIN)
        if self.weak() or not scores or self.ago(scores[-1].day) > self.site["lookback.nrs"]:
            return False
        high = [f for f in scores if f.value > self.site["pain.dischargeMax"]]
        low = [f for f in scores if not high or f.at > high[-1].at]
        return any((scores[-1].day - f.day).days >= self.site["pain.dischargeGapDays"] for f in low)

    def heard(self) -> date | None:
        """Return the last day on which this hip was heard of."""
        flags = [f"red-flag-{name}" for name in (*EMERGENCIES, *URGENT)]
        days = [f.day for f in self.all(*OPENING, *HEARD)]
        days += [f.day for f in self.all(*flags) if f.sided and f.value is True]
        return max(days, default=self.state.get("Opened"))

    def opens(self) -> bool:
        """Return whether something says that this hip has a problem (3.5)."""
        flags = self.all(*(f"red-flag-{name}" for name in (*EMERGENCIES, *URGENT)))
        seen = {f.value for f in self.all(XRAY)}
        return (
            bool(self.all(*OPENING))
            or any(f.sided and f.value is True for f in flags)
            or bool(seen & {"radiograph-fracture", "radiograph-destructive-lesion"})
        )

    # -- timers (11.2) --

    def late(self, since: str, days: str) -> bool:
        """Return whether more days than a limit have passed since an event of the order."""
        at = self.item.get(since)
        return at is not None and self.ago(at.date()) > self.site[days]

    def passed(self, since: str, **limit: int) -> bool:
        """Return whether more time than a limit has passed since an event of the order."""
        return self.item[since] is not None and self.now - self.item[since] > timedelta(**limit)

    def signature_overdue(self) -> bool:
        """Return whether a draft waits too long."""
        if self.item["Item State"] != "draft":
            return False
        if self.item["Item Priority"] == "urgent":
            return self.passed("Item Since", hours=self.site["timer.signUrgentHours"])
        return self.late("Item Since", "timer.signRoutineDays")

    def scanned(self) -> date | None:
        """Return the first day, since the order was made, on which its scan was done."""
        code = REPORTS.get(self.item["Item Kind"])
        days = [f.day for f in self.reports if f.code == code and f.day >= self.item["Item Made"].date()]
        return min(days, default=None)

    def scan_overdue(self) -> bool:
        """Return whether the scan of a signed order was not done in time."""
        if self.item["Item Kind"] not in REPORTS or self.item["Item State"] != "active" or self.scanned():
            return False
        urgent = self.item["Item Priority"] == "urgent"
        return self.late("Item Signed", "timer.scanUrgentDays" if urgent else "timer.scanRoutineDays")

    def report_overdue(self) -> bool:
        """Return whether the report of a scan did not come in time."""
        of_scan = self.item["Item Kind"] in REPORTS and self.item["Item State"] == "active"
        return (
            of_scan
            and self.scanned() is not None
            and self.ago(self.scanned()) > self.site["timer.reportDays"]
        )

    def referral_late(self) -> bool:
        """Return whether a signed referral was not acknowledged in time."""
        if self.item["Item Kind"] != "SURG" or self.item["Item State"] != "active":
            return False
        urgent = self.item["Item Priority"] == "urgent"
        limit = "timer.referralAckUrgentDays" if urgent else "timer.referralAckRoutineDays"
        return not self.item["Item Acknowledged"] and self.late("Item Signed", limit)

    def diversion_late(self) -> bool:
        """Return whether a diversion was not acknowledged in time."""
        if self.item["Item Acknowledged"]:
            return False
        if self.item["Item Class"] == "emergency":
            return self.passed("Item Made", minutes=self.site["timer.divertAckEmergencyMinutes"])
        urgent = self.item["Item Class"] == "urgent"
        return self.late("Item Made", "timer.divertAckUrgentDays" if urgent else "timer.divertAckRoutineDays")

    # -- answers --

    def answers(self) -> dict[str, Any]:
        """Return what each definition must be. A truth value says whether the condition is met."""
        start = self.state.get("Therapy Start")
        operated = self.operation_day()
        flags = self.red_flags()
        counted = self.state.get("Operations Counted") or ()
        entered = self.state.get("Stage Entered")
        discharged = self.state.get("Discharged On")
        pain_finding = self.latest(PAIN, "lookback.nrs")
        traumatic, injured = self.onset()
        xr, mri, us = self.proposes("XR"), self.proposes("MRI"), self.proposes("US")
        return {
            "Lateral pain with a local sign": self.value("lateral-thigh-pain", "lookback.lateralPain") is True
            and (self.is_("greater-trochanter-tenderness") or any(map(self.is_, LOADING))),
            "Therapy may start": self.state.get("Therapy Closed") is not True,
            "Weakness with pain persists": self.persists(),
            "Imaging is open": self.imaging_open(),
            "Adequate programme failed": self.therapy_failed(),
            "Surgical opinion is indicated": self.surgical(),
            "Referral is not blocked": not (
                self.declined(CONSENT_SURGERY) or self.before("Referral Refused Until")
            ),
            "Referral does not follow": not self.surgical()
            or self.declined(CONSENT_SURGERY)
            or self.before("Referral Refused Until"),
            "Outcome is missing at the checkpoint": self.outcome_missing(),
            "Programme should be modified": self.weeks_at_least("review.checkpointWeeks")
            and self.progress() == "no"
            and not self.weak_pain(),
            "Programme is under-dosed": self.weeks_at_least("therapy.failWeeks")
            and self.progress() == "no"
            and not self.adequate(),
            "Progress is contradictory": self.progress() == "conflict",
            "Highest pain with progress": self.highest_with_progress(),
            "Pain has relapsed": self.relapsed(),
            "Discharge may be considered": self.discharge(),
            "Image shows a finding": self.tear(MRI) not in (None, "tear-none")
            or (self.image(MRI) is None and self.tear(US) == "tear-full-thickness"),
            "MRI shows no tear": self.tear(MRI) == "tear-none",
            "Patient declined imaging": self.declined(CONSENT_IMAGING),
            "Patient declined surgery": self.declined(CONSENT_SURGERY),
            "A radiograph counts": self.radiograph_counts(),
            "An ultrasound counts": self.image(US) is not None,
            "Ultrasound is not definitive": self.image(MRI) is None
            and self.tear(US) not in (None, "tear-full-thickness"),
            "Priority upgrade is due": self.acute_weak() and self.counts() is None,
            "Operation was done": any(
                entered is not None and f.day >= entered and f.id not in counted
                for f in self.all(*OPERATIONS)
            ),
            "Re-tear is suspected": self.retear(),
            "Pain came back": discharged is not None
            and pain_finding is not None
            and pain_finding.day > discharged
            and self.pain_persists(),
            "Soon after discharge": discharged is not None
            and self.ago(discharged) <= self.site["relapse.windowDays"],
            "Long after discharge": discharged is not None
            and self.ago(discharged) > self.site["relapse.windowDays"],
            "Hip has a problem": self.opens(),
            "Therapy has started": start is not None,
            "A red flag is new": bool(flags),
            "A red flag is new and no hip is known": bool(flags) and not self.state.get("Any Side Known"),
            "A red flag is old": bool(self.old_flags()),
            "An inflammatory pattern was found": any(
                f.value is True and self.ago(f.day) <= self.site["lookback.redFlag"]
                for f in self.all(INFLAMMATORY)
            ),
            "Acute floor moves": self.floor_moves(),
            "Hip replacement in place": self.replaced(),
            "L5 deficit found": self.l5(),
            "Osteoarthritis with groin pain": self.arthritis(),
            "Under 18": self.age() < 18 and not self.acknowledged("exclusion-paediatric"),
            "Acute with marked weakness": self.acute_weak(),
            "Marked weakness with pain on loading": self.acute_or_marked(),
            "Declined imaging would follow": self.declined_would_follow(),
            "Indicated surgery is declined": self.surgical() and self.declined(CONSENT_SURGERY),
            "Review is overdue": self.ago(self.heard()) > self.site["review.overdueDays"],
            "Patient is lost to follow-up": self.ago(self.heard()) > self.site["review.lostDays"],
            "Signature is overdue": self.signature_overdue(),
            "Scan is overdue": self.scan_overdue(),
            "Report is overdue": self.report_overdue(),
            "Referral is not acknowledged": self.referral_late(),
            "Diversion is not acknowledged": self.diversion_late(),
            "Full-thickness tear with few symptoms": self.tear() == "tear-full-thickness"
            and not self.full_tear_asks(),
            "Second line may help": self.tear(MRI) in ("tendinosis", "bursitis-only"),
            "Steroid was given recently": any(
                self.ago(f.day) <= self.site["steroid.preOpFlagDays"] for f in self.all(STEROID)
            ),
            "Pregnant or possibly": self.pregnant(),
            "Propose a radiograph": xr,
            "Propose an MRI": mri,
            "Propose an ultrasound": us,
            "Something is proposed": xr or mri or us,
            "MRI safety must be screened": mri and self.safety() in (None, "mri-safety-unknown"),
            "MRI safety officer must decide": mri and self.safety() == "mri-safety-conditional",
            # what is no truth value
            "Contradictory findings": self.contradictions(),
            "New red flags": flags,
            "Old red flags": self.old_flags(),
            "Red flag qualifiers": flags[0].split("|")[:2] if flags else [],
            "Red flag urgency": "stat" if flags and flags[0].startswith("emergency") else "urgent",
            "All causes handled": [*(self.state.get("Causes Handled") or ()), *self.known_flags()],
            "Referral priority": "urgent"
            if self.tear() == "tear-full-thickness"
            and traumatic
            and injured is not None
            and self.ago(injured) <= self.site["referral.urgentTraumaDays"]
            else "routine",
            "Referral flags": [
                flag
                for flag, raised in (
                    (
                        "reconstruction-question",
                        (self.part("goutallier-grade") or 0) >= self.site["mri.goutallierReconstructMin"],
                    ),
                    ("retracted", (self.part("tendon-retraction") or 0) >= self.site["mri.retractionFlagCm"]),
                    ("us-only", self.image(MRI) is None and self.image(US) is not None),
                )
                if raised
            ],
            "Missing for the signature": self.missing(),
            "Acute day": self.acute_day(),
            "Last heard day": self.heard(),
            "Checkpoint": self.checkpoint(),
            "Scan day of the order": self.scanned(),
            "Stage to return to": self.state.get("Stage Before")
            if self.state.get("Stage Before") in ("assessment", "conservative-therapy", "post-operative")
            else "assessment",
            "Therapy start if there is none": start or self.today,
            "Day the clinician's refusal ends": self.today
            + timedelta(days=self.site["decline.clinicianDays"]),
            "Day the surgeon's refusal ends": self.today + timedelta(days=self.site["decline.surgeonDays"]),
            "Grade now": next((f.value for f in reversed(self.all(GRADE))), None),
            "Surgery refusal": self.consent(CONSENT_SURGERY),
            "Imaging refusal": self.consent(CONSENT_IMAGING),
            "Therapy start on re-entry": start
            or (self.today if self.state.get("Decision Stage") == "conservative-therapy" else None),
            "Once per six weeks of the stay": None
            if self.weeks is None
            else f"{self.state['Stay']} block {self.weeks // 6}",
            "Once per checkpoint": None
            if self.checkpoint() is None
            else f"{self.checkpoint()} weeks from {start}",
            "Once per last heard day": str(self.heard()),
            "Review day": start and start + timedelta(weeks=6),
            "Goal day": start and start + timedelta(weeks=12),
            **{
                f"Operation day plus {weeks} weeks": operated and operated + timedelta(weeks=weeks)
                for weeks in (6, 12, 26, 52)
            },
            "Signature becomes late at": self.item["Item Since"]
            + timedelta(hours=self.site["timer.signUrgentHours"], seconds=1)
            if self.item["Item State"] == "draft" and self.item["Item Priority"] == "urgent"
            else None,
            "Diversion becomes late at": self.item["Item Made"]
            + timedelta(minutes=self.site["timer.divertAckEmergencyMinutes"], seconds=1)
            if self.item["Item Class"] == "emergency" and not self.item["Item Acknowledged"]
            else None,
            "Item class priority": {"emergency": "stat", "urgent": "urgent"}.get(
                self.item["Item Class"], "routine"
            ),
        }
