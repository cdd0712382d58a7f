// What is wrong with the page for those who hear it, use a keyboard, or need contrast: a list of sentences.
const wrong = [];
const say = (sentence, element) => wrong.push(element ? `${sentence}: ${element.outerHTML.slice(0, 140)}` : sentence);
const all = (css, root = document) => [...root.querySelectorAll(css)];
const shown = (element) => element.checkVisibility({ visibilityProperty: true });
const clean = (text) => (text ?? "").replace(/\s+/g, " ").trim();

const spoken = (element) => {
  const parts = [];
  for (const node of element.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) parts.push(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE && node.getAttribute("aria-hidden") !== "true") {
      parts.push(node.getAttribute("aria-label") ?? node.getAttribute("alt") ?? spoken(node));
    }
  }
  return clean(parts.join(" "));
};
const name = (element) => {
  const by = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
  if (by.length > 0) return clean(by.map((id) => document.getElementById(id)).map((other) => (other ? spoken(other) : "")).join(" "));
  const labels = element.labels ? [...element.labels].map(spoken).join(" ") : "";
  return clean(element.getAttribute("aria-label")) || clean(labels) || clean(element.getAttribute("alt"))
    || (element.matches("input, select, textarea") ? "" : spoken(element)) || clean(element.getAttribute("title"));
};

// The document.
if (!document.documentElement.lang) say("the page has no language");
if (!clean(document.title)) say("the page has no title");
const ids = all("[id]").map((element) => element.id);
for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) say(`the id ${id} stands twice`);
for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
  for (const element of all(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(/\s+/)) if (!document.getElementById(id)) say(`${attribute} names ${id}, which is not there`, element);
  }
}

// Headings and landmarks.
const headings = all("h1, h2, h3, h4, h5, h6").filter(shown);
if (headings.filter((heading) => heading.tagName === "H1").length !== 1) say("there is not one h1");
let level = 0;
for (const heading of headings) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) say(`a heading skips from ${level} to ${own}`, heading);
  if (!spoken(heading)) say("a heading is empty", heading);
  level = own;
}
if (all("main").length !== 1) say("there is not one main");
const navs = all("nav").map((nav) => [nav, name(nav)]);
for (const [nav, called] of navs) {
  if (navs.length > 1 && !nav.hasAttribute("aria-label") && !nav.hasAttribute("aria-labelledby")) say("one of several navs has no name", nav);
  if (navs.some(([other, theirs]) => other !== nav && theirs === called)) say(`two navs are called ${called}`, nav);
}
for (const region of all("[role=region], section[aria-label], section[aria-labelledby]")) if (!name(region)) say("a region has no name", region);
if (all(".frame").length > 0) {
  const first = all("a, button, input")[0];
  if (!first || !first.matches("a[href^='#']") || !document.querySelector(first.getAttribute("href"))) say("the first link does not skip to the content", first);
}

// Controls and pictures.
const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, progress, output, meter, [role=button], [tabindex]:not([tabindex='-1'])";
for (const control of all(controls)) if (shown(control) && !name(control) && control.tagName !== "OUTPUT") say("a control has no name", control);
for (const image of all("img")) if (!image.hasAttribute("alt")) say("an image has no alt", image);
for (const image of all("svg")) if (image.getAttribute("aria-hidden") !== "true" && !name(image)) say("a picture has no name", image);
for (const table of all("table")) {
  if (all("th", table).length === 0) say("a table has no headers", table);
  for (const header of all("th", table)) {
    if (!header.hasAttribute("scope")) say("a header has no scope", header);
    if (!spoken(header)) say("a header is empty", header);
  }
}
for (const list of all("ul, ol")) for (const child of list.children) if (!["LI", "SCRIPT", "TEMPLATE"].includes(child.tagName)) say("a list holds something else", child);
for (const group of all("fieldset")) if (!clean(group.querySelector(":scope > legend")?.textContent)) say("a fieldset has no legend", group);
for (const box of all("*")) {
  const style = getComputedStyle(box);
  const scrolls = ["auto", "scroll"].includes(style.overflowX) && box.scrollWidth > box.clientWidth + 1;
  if (scrolls && shown(box) && box.tabIndex < 0 && all("a[href], button, input, select, textarea", box).length === 0) say("a box scrolls, but not by keyboard", box);
}

// Focus.
for (const element of all("[tabindex]")) if (Number(element.getAttribute("tabindex")) > 0) say("a tabindex is positive", element);
const focusable = all("a[href], button:not([disabled]), input:not([type=hidden]):not([disabled]), select:not([disabled]), textarea:not([disabled]), summary, [tabindex='0']").filter(shown);
const looks = (element) => {
  const style = getComputedStyle(element);
  return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow].join(" ");
};
for (const element of focusable) {
  if (element.closest("fieldset[disabled]")) continue;
  element.blur();
  const before = looks(element);
  element.focus({ preventScroll: true });
  if (document.activeElement !== element) { say("cannot be focused", element); continue; }
  const style = getComputedStyle(element);
  if (looks(element) === before || (style.boxShadow === "none" && (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2))) say("the focus is not seen", element);
}
document.activeElement?.blur();

// Contrast: every text against what lies behind it.
const colour = (text) => {
  const numbers = (text.match(/-?[\d.]+(e-?\d+)?%?/g) ?? []).map((part) => (part.endsWith("%") ? parseFloat(part) / 100 : parseFloat(part)));
  if (text.startsWith("rgb")) return [numbers[0] / 255, numbers[1] / 255, numbers[2] / 255, numbers[3] ?? 1];
  if (text.startsWith("color(srgb")) return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
  return null;
};
const over = (front, back) => [0, 1, 2].map((at) => front[at] * front[3] + back[at] * (1 - front[3])).concat(1);
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.backgroundImage !== "none") return null;
    const layer = colour(style.backgroundColor);
    if (!layer) return null;
    if (layer[3] > 0) layers.push(layer);
    if (layer[3] >= 1) break;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reverse().reduce((back, layer) => over(layer, back), dark ? [0.07, 0.07, 0.07, 1] : [1, 1, 1, 1]);
};
const light = (rgb) => {
  const [r, g, b] = rgb.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const seen = (element, foreground, text) => {
  const back = behind(element);
  const front = colour(foreground);
  if (!back || !front) { say(`the contrast of ${JSON.stringify(text)} cannot be computed from ${foreground}`, element); return; }
  for (let at = element; at; at = at.parentElement) if (parseFloat(getComputedStyle(at).opacity) < 1 && !element.matches(":disabled")) say("a text is seen through", element);
  const [a, b] = [light(over(front, back)), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  if (ratio < wanted) say(`the contrast of ${JSON.stringify(text)} is ${ratio.toFixed(2)}, not ${wanted}`, element);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = clean(walker.currentNode.data).slice(0, 40);
  if (!text || !shown(element) || element.closest(".unseen, script, style, title, option, :disabled")) continue;
  texts += 1;
  seen(element, element.closest("svg") ? getComputedStyle(element).fill : getComputedStyle(element).color, text);
}
for (const field of all("input:not([type=hidden]):not([type=checkbox]):not([type=radio]), select, textarea")) if (shown(field) && !field.matches(":disabled")) seen(field, getComputedStyle(field).color, field.value || field.name);
if (texts === 0) say("no text was seen at all");
return wrong;
