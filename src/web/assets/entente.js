// What the pages gain where scripts run. Everything works without.
import { follow } from "./live.js";

// Exact times in the reader's own zone; the server writes UTC.
function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-exact]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.textContent;
      time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  }
}

// How long ago, kept right while the page stands open.
function nearTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time:not([data-exact])")) {
    const distance = new Date(time.dateTime).valueOf() - now;
    const seconds = Math.abs(distance) / 1000;
    if (!Number.isFinite(seconds)) continue;
    const span = seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min`
      : seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
    time.textContent = seconds < 2 ? "now" : distance < 0 ? `${span} ago` : `in ${span}`;
  }
}

// On a phone the menus are longer than the screen: where one is has to be seen.
function showWhereOneIs() {
  for (const here of document.querySelectorAll(".rail nav [aria-current], .tabs [aria-current]")) {
    const row = here.closest(".tabs ul, .rail nav");
    if (row && row.scrollWidth > row.clientWidth) row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }
}

function toast(kind, text) {
  const box = document.getElementById("toasts");
  if (!box) return;
  const one = document.createElement("div");
  one.className = `toast ${kind}`;
  const sentence = document.createElement("p");
  sentence.textContent = text;
  one.append(sentence);
  box.append(one);
  while (box.children.length > 4) box.firstChild.remove();
  setTimeout(() => one.remove(), 7000);
}

// The parts of the page that live are taken from the page as it is now.
let busy = false;
let again = false;
async function refresh() {
  if (busy) { again = true; return; }
  const parts = [...document.querySelectorAll("[data-live]")];
  if (parts.length === 0 || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) {
      const other = fresh.getElementById(part.id);
      if (!other || other.isEqualNode(part) || part.contains(document.activeElement) && part.querySelector("input, select, textarea")) continue;
      const known = new Set([...part.querySelectorAll("tr[id]")].map((row) => row.id));
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceWith(other);
      localTimes(other);
      if (known.size > 0) for (const row of other.querySelectorAll("tr[id]")) if (!known.has(row.id)) row.classList.add("fresh");
      if (focused) other.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  } catch {
    // The line says so by itself.
  } finally {
    busy = false;
    if (again) { again = false; setTimeout(refresh, 300); }
  }
}

// How many records a filter lets through, while it is typed.
for (const area of document.querySelectorAll("textarea[data-count]")) {
  const out = document.getElementById("count");
  let timer = 0;
  area.addEventListener("input", () => {
    clearTimeout(timer);
    out.textContent = "…";
    timer = setTimeout(async () => {
      const query = area.value.split("\n").filter((line) => line.trim()).map((line) => `&filter=${encodeURIComponent(line.trim())}`).join("");
      try {
        const answer = await fetch(area.dataset.count + query);
        out.textContent = await answer.text();
      } catch {
        out.textContent = "The site cannot be reached";
      }
    }, 350);
  });
}

localTimes(document);
showWhereOneIs();
setInterval(() => nearTimes(document), 5000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

const line = document.getElementById("line");
if (line) {
  follow({
    changed: refresh,
    said: (event) => toast(event.kind, event.text),
    lost: () => { line.hidden = false; line.textContent = "The line to this site is lost; what you see may be old."; },
    healed: () => { line.hidden = true; line.textContent = ""; refresh(); },
  });
  // Another tab may have heard of something before this one listened.
  refresh();
}
