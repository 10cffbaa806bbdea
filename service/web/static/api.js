/* Tries a request that `/api` describes: sends it as it is filled in, from this browser and to this service
   alone, and shows what was sent and what came back. A token that is typed stands in the field and nowhere else. */
"use strict";
(() => {
  const form = document.querySelector("#try");
  const shown = document.querySelector("#answer");
  if (!form || !shown) return;
  const show = (name, text) => { document.querySelector(`#answer-${name}`).textContent = text; };
  const status = document.querySelector("#answer-status");
  const fields = (where) => [...form.querySelectorAll(`[data-in="${where}"]`)].filter((field) => field.value !== "");

  /** Return the address with the path and the query filled in. */
  const address = () => {
    const path = fields("path").reduce(
      (text, field) => text.replace(`{${field.dataset.name}}`, encodeURIComponent(field.value)), form.dataset.path);
    const query = new URLSearchParams(fields("query").map((field) => [field.dataset.name, field.value]));
    const criteria = fields("criteria").map((field) => field.value.replace(/^[?&]+/, ""));
    const all = [...criteria, query.toString()].filter(Boolean).join("&");
    return all ? `${path}?${all}` : path;
  };

  const headers = () => {
    const found = new Headers(fields("header").map((field) => [field.dataset.name, field.value]));
    found.set("Accept", "application/fhir+json, application/json;q=0.9, */*;q=0.5");
    if (form.dataset.media) found.set("Content-Type", form.dataset.media);
    for (const token of fields("token")) found.set("Authorization", `Bearer ${token.value}`);
    return found;
  };

  /** Return what is sent as people write it; a token is not shown. */
  const written = (url, sent) => [
    `${form.dataset.method} ${url}`,
    ...[...sent].map(([name, value]) => `${name}: ${name === "authorization" ? "Bearer …" : value}`),
  ].join("\n");

  const readable = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };

  form.querySelector("[hidden]")?.removeAttribute("hidden");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const url = address();
    const body = fields("body")[0]?.value;
    shown.hidden = false;
    status.textContent = status.dataset.waiting;
    for (const name of ["request", "headers", "body"]) show(name, "");
    try {
      const sent = headers();
      show("request", written(url, sent));
      const begun = performance.now();
      const answer = await fetch(url, { method: form.dataset.method, headers: sent, body, redirect: "manual", cache: "no-store" });
      const text = await answer.text();
      status.textContent = `${answer.status} ${answer.statusText} · ${Math.round(performance.now() - begun)} ms`;
      show("headers", [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n"));
      show("body", readable(text));
    } catch {
      // A header that cannot be sent is refused by the browser in the same way as a service that is away.
      status.textContent = status.dataset.unreachable;
    }
    shown.scrollIntoView({ block: "nearest" });
  });
})();
