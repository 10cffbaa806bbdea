/* What htmx refreshes leaves rows where they are. This adds two things: after "3 changes, show" the focus is on
   the row one was on, and a page of a plan that has changed sends nothing more. The server refuses it as well. */
"use strict";
(() => {
  const ROW = "hipway-row";
  const goal = (row) => row?.querySelector(".act a, .act button, .who a");
  const rows = () => [...document.querySelectorAll("table.work tbody tr[id]")];

  /** The row with the focus or under the pointer, whichever came last. */
  let here = "";
  const remember = (event) => { here = event.target.closest?.("table.work tbody tr[id]")?.id ?? here; };
  document.addEventListener("focusin", remember);
  document.addEventListener("pointerover", remember);

  document.addEventListener("click", (event) => {
    if (!event.target.closest("a[data-show]") || !here) return;
    const ids = rows().map((row) => row.id);
    // A row that has gone is replaced by the next one that is left.
    const wanted = [...ids.slice(ids.indexOf(here)), ...ids.slice(0, ids.indexOf(here)).reverse()];
    try { sessionStorage.setItem(ROW, JSON.stringify(wanted)); } catch { /* private windows keep nothing */ }
  });

  try {
    const wanted = JSON.parse(sessionStorage.getItem(ROW) || "[]");
    sessionStorage.removeItem(ROW);
    goal(wanted.map((id) => document.getElementById(id)).find(goal))?.focus();
  } catch { /* nothing was kept */ }

  const stale = () => document.querySelector("#changes [data-stale]");
  document.addEventListener("htmx:oobAfterSwap", () => {
    if (!stale()) return;
    // Not `disabled`: what has the focus keeps it, and what was typed can still be read.
    for (const button of document.querySelectorAll("main form[method=post] button")) {
      button.setAttribute("aria-disabled", "true");
    }
  });
  document.addEventListener("submit", (event) => {
    if (!stale() || !event.target.closest("main")) return;
    event.preventDefault();
    stale().querySelector("a").focus();
  });
})();
