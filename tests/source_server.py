"""A hospital's server that is read from: it searches, pages, keeps Subscriptions, and has a clock of its own.

How HAPI does it is seen in tests/hapi/test_round_trip.py.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hospital_server import HospitalServer, Json, outcome

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class SourceServer(HospitalServer):
    """What the hospital has, with when it was stored by the server's own clock."""

    def begin(self, date: str = "") -> None:
        super().begin(date)
        #: what time the server believes it is
        self.now = START
        #: the most that it puts on a page
        self.most = 1000
        #: parameters that it does not know, and ignores
        self.ignored: set[str] = set()
        #: each page that follows, by its number
        self.pages: dict[str, list[Json]] = {}
        #: the last page of each set
        self.ends: set[str] = set()
        #: whether a Subscription becomes active at once
        self.activates = True
        self.tell()

    def tell(self) -> None:
        """Have the answers say what time the server believes it is."""
        self.date = format_datetime(self.now, usegmt=True)

    def pass_(self, **time: float) -> None:
        """Let time pass there, or set the clock back."""
        self.now += timedelta(**time)
        self.tell()

    def put(self, resource: Json) -> Json:
        with self.lock:
            stored = super().put(resource)
            stored["meta"]["lastUpdated"] = self.now.isoformat(timespec="milliseconds")
            self.pass_(milliseconds=1)
            return stored

    def remove(self, reference: str) -> None:
        with self.lock:
            self.record[reference].append(None)

    def searches(self, type_: str = "") -> list[dict[str, str]]:
        """Return the parameters of each search, of one type or of all but Subscription."""
        found = [a for a in self.asked if a.path.endswith("/_search")]
        return [
            {name: values[0] for name, values in parse_qs(a.content.decode()).items()}
            for a in found
            if (a.path.split("/")[-2] == type_ if type_ else "Subscription" not in a.path)
        ]

    def do(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        with self.lock:
            parts = urlsplit(path)
            if "_getpages" in parts.query:
                return 200, self._page(parse_qs(parts.query)["_getpages"][0])
            if method == "POST" and path == "/fhir/Subscription":
                return 201, self._subscribe(json.loads(content), f"s{len(self.record) + 1}")
            if method == "PUT":
                return 200, self._subscribe(json.loads(content), path.rpartition("/")[2])
            return super().do(method, path, content)

    def _subscribe(self, resource: Json, id_: str) -> Json:
        if resource["status"] == "requested" and self.activates:
            resource = {**resource, "status": "active"}
        return self.put({**resource, "id": id_})

    def _search(self, type_: str, form: str) -> Json:
        asked = {n: v[0] for n, v in parse_qs(form).items() if n not in self.ignored}
        found = [r for r in self.of_type(type_) if r and self._matches(r, asked)]
        if "_sort" in asked:
            found.sort(key=lambda r: r["meta"]["lastUpdated"])
        if "_elements" in asked:
            found = [{n: r[n] for n in ("resourceType", "id", "meta")} for r in found]
        size = min(int(asked.get("_count", 20)), self.most)
        pages = [found[at : at + size] for at in range(0, len(found), size)] or [[]]
        first = len(self.pages)
        for number, page in enumerate(pages):
            self.pages[str(first + number)] = page
        self.ends.add(str(first + len(pages) - 1))
        return self._page(str(first))

    def _page(self, number: str) -> Json:
        link = [{"relation": "self", "url": f"{self.url}?_getpages={number}"}]
        if number not in self.ends:
            link.append({"relation": "next", "url": f"{self.url}?_getpages={int(number) + 1}"})
        entry = [{"resource": r, "search": {"mode": "match"}} for r in self.pages[number]]
        return {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry}

    @staticmethod
    def _matches(resource: Json, asked: dict[str, str]) -> bool:
        if "_id" in asked and resource["id"] not in asked["_id"].split(","):
            return False
        if "code" in asked:
            codings = resource.get("code", {}).get("coding", [])
            if not {f"{c.get('system')}|{c.get('code')}" for c in codings if isinstance(c, dict)} & set(
                asked["code"].split(",")
            ):
                return False
        if "result" in asked:
            results = {r["reference"] for r in resource.get("result", [])}
            if not results & set(asked["result"].split(",")):
                return False
        if "identifier" in asked:
            carried = [f"{i.get('system')}|{i.get('value')}" for i in resource.get("identifier", [])]
            if re.sub(r"\\(.)", r"\1", asked["identifier"]) not in carried:
                return False
        if "url" in asked and resource["channel"]["endpoint"] != asked["url"]:
            return False
        since = asked.get("_lastUpdated", "").removeprefix("ge")
        return not since or datetime.fromisoformat(resource["meta"]["lastUpdated"]) >= datetime.fromisoformat(
            since
        )


__all__ = ["START", "SourceServer", "outcome"]
