/* Keyboard shortcuts: they move the focus or open a page. None signs, and only "t" writes: it takes a task.
   They can be turned off on /keys, because single keys get in the way of speech input (WCAG 2.1.4). */
"use strict";
(() => {
  const OFF = "hipway-keys-off", LIST = "hipway-list", SEQUENCE_MS = 1500;
  const stored = (store, name) => { try { return store.getItem(name); } catch { return null; } };
  const keep = (store, name, value) => { try { store.setItem(name, value); } catch { /* private windows keep nothing */ } };

  const goal = (row) => row.querySelector(".act a") ?? row.querySelector(".who a");
  const rows = () => [...document.querySelectorAll("table.work tbody tr")].filter(goal);
  const goTo = (name) => document.querySelector(`[data-key="${name}"]`)?.click();

  /** Move to the next or previous row from where the focus is. */
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const here = all.indexOf(document.activeElement?.closest("tr"));
    const next = here < 0 ? (by > 0 ? 0 : all.length - 1) : here + by;
    goal(all[Math.min(Math.max(next, 0), all.length - 1)]).focus();
  };

  const take = () => document.activeElement?.closest("tr[id], li[id]")?.querySelector("form[action$='/take'] button")?.click();

  const proposal = () => {
    const heading = document.querySelector("section.decision h2");
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus();
  };

  /** Open the next or previous plan of the list this page was reached from. */
  const neighbour = (by) => {
    const plans = JSON.parse(stored(sessionStorage, LIST) || "[]");
    const here = plans.indexOf(location.pathname);
    if (here >= 0 && plans[here + by]) location.href = plans[here + by];
  };

  const single = {
    "/": () => goTo("/"), "?": () => goTo("?"), j: () => step(1), k: () => step(-1),
    t: take, s: proposal, "[": () => neighbour(-1), "]": () => neighbour(1),
  };

  const links = [...document.querySelectorAll("table.work .who a[href^='/careplans/']")];
  if (links.length) keep(sessionStorage, LIST, JSON.stringify([...new Set(links.map((link) => new URL(link.href).pathname))]));

  const toggle = document.querySelector("#keys-off");
  if (toggle) {
    toggle.closest("[hidden]")?.removeAttribute("hidden");
    toggle.checked = stored(localStorage, OFF) === "1";
    toggle.addEventListener("change", () => keep(localStorage, OFF, toggle.checked ? "1" : ""));
  }
  if (location.hash === "#f-family") document.querySelector("#f-family")?.focus();

  let before = "", at = 0;
  document.addEventListener("keydown", (event) => {
    // On a German keyboard the brackets need AltGr, which Windows sends as both others, or Option.
    const bracket = event.key === "[" || event.key === "]";
    if (event.metaKey || event.defaultPrevented || (!bracket && (event.ctrlKey || event.altKey))) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (stored(localStorage, OFF) === "1") return;
    const second = before === "g" && event.timeStamp - at < SEQUENCE_MS;
    before = event.key;
    at = event.timeStamp;
    const name = second ? `g ${event.key}` : event.key;
    const known = second ? document.querySelector(`[data-key="${CSS.escape(name)}"]`) : single[name];
    if (!known) return;
    event.preventDefault();
    if (second) known.click(); else known();
  });
})();
