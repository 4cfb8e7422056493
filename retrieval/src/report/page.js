"use strict";
// Shows the queries and their pictures, a page of them at a time. All texts become text content, never markup.
(() => {
  const PAGE = 20;
  // Parts that are kept: more than two pages of any order need.
  const KEPT = 60;
  const store = {
    get() { try { return localStorage.getItem("imagefleet-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("imagefleet-theme", value); } catch { /* a page opened as a file may not */ } },
  };
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (["dark", "light"].includes(store.get())) root.dataset.theme = store.get();

  // el("a.link", {href}, "text", child, …)
  function el(what, attributes, ...children) {
    const [tag, ...classes] = what.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }
  const web = (url) => /^https?:\/\//i.test(url || "");
  const link = (url, text, label) =>
    web(url) ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer", "aria-label": label }, text) : text;
  const number = (value) => value.toLocaleString("en-US");
  const decimals = (value) => (value === null ? "not a number" : value.toFixed(4).replace("-", "−"));

  // ---- data: the index is there; parts are read when something in them is looked at
  let index;
  const parts = new Map();
  const waiting = new Map();
  window.imagefleetPart = (at, part) => { waiting.get(at)?.(part); waiting.delete(at); };

  function part(at) {
    let known = parts.get(at);
    parts.delete(at);
    known ||= (index.folder ? fromFile(at) : fromPage(at)).then(arranged);
    parts.set(at, known);
    if (parts.size > KEPT) parts.delete(parts.keys().next().value);
    return known;
  }
  const fromPage = async (at) => JSON.parse(document.getElementById(`part-${at}`).textContent);
  function fromFile(at) {
    return new Promise((resolve, reject) => {
      waiting.set(at, resolve);
      const name = `${index.folder}/${String(at).padStart(4, "0")}.js`;
      const script = el("script", { src: name });
      script.onload = () => script.remove();
      script.onerror = () => { script.remove(); parts.delete(at); reject(new Error(`${name} is not there`)); };
      document.head.append(script);
    });
  }
  // Where each query's pictures begin.
  function arranged(part) {
    let start = 0;
    part.start = part.count.map((count) => (start += count) - count);
    return part;
  }
  // The last part that begins at or before a number.
  function partOf(firsts, at) {
    let low = 0, high = firsts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (firsts[middle] <= at) low = middle; else high = middle - 1;
    }
    return low;
  }
  async function details(query) {
    const at = partOf(index.first_query, query);
    const own = await part(at);
    const row = query - index.first_query[at];
    const found = [];
    for (let i = own.start[row]; i < own.start[row] + own.count[row]; i++) {
      const where = partOf(index.first_picture, own.picture[i]);
      const home = where === at ? own : await part(where);
      const of = own.picture[i] - index.first_picture[where];
      found.push({
        before: own.before[i], after: own.after[i], similarity: own.similarity[i], score: own.score[i], fused: own.fused[i],
        right: own.right[i], changed: own.changed[i], key: home.key[of], path: home.path[of], name: home.name[of],
        author: home.author[of], page: home.page[of], licence: home.licence[of], jpeg: home.jpeg[of],
      });
    }
    return { url: own.url[row], tags: own.tags[row], asked: own.asked[row], found };
  }

  // ---- one query
  const jpeg = (base64, alt) => el("img", { src: `data:image/jpeg;base64,${base64}`, alt, decoding: "async" });

  function heading(query) {
    const title = index.title[query] || (index.id[query] ? "(no title)" : "A picture");
    const move = standing(query);
    return el("header", null, el("div", null,
      el("h3", { dir: "auto" }, title),
      el("p.facts", null,
        index.id[query] ? el("a.anchor", { href: `#q=${encodeURIComponent(index.id[query])}`, "aria-label": `Link to query ${index.id[query]}` }, `#${index.id[query]}`) : null,
        move)));
  }
  function standing(query) {
    const before = index.before[query], after = index.after[query];
    if (before === null) return null;
    const place = (rank) => (rank ? `${number(rank)}` : "not found");
    if (!before && !after) return el("span.rank.absent", null, "right picture not found");
    const text = before === after ? `right picture at ${place(after)}` : `right picture ${before ? `at ${place(before)}` : place(before)} → ${place(after)}`;
    const kind = gain(query) > 0 ? "better" : gain(query) < 0 ? "worse" : "same";
    return el(`span.rank.${kind}`, null, text);
  }
  function tile(found) {
    const what = found.name || found.path || found.key;
    const frame = found.jpeg ? el("div.frame", null, jpeg(found.jpeg, found.name || `Picture ${found.key}`))
      : el("div.frame.none", null, el("span", null, "no thumbnail"));
    frame.prepend(el("span.place", null, found.before === found.after ? `${found.after}` : `${found.after} ← ${found.before}`));
    if (found.right) frame.append(el("span.right", null, "✓ right"));
    const scores = el("dl.scores", null, el("div", null, el("dt", null, "similarity"), el("dd", null, decimals(found.similarity))));
    for (const [name, value] of [["reranker", found.score], ["fused", found.fused]]) {
      if (value !== null) scores.append(el("div", null, el("dt", null, name), el("dd", null, decimals(value))));
    }
    return el(`li${found.right ? ".is-right" : ""}`, null, el("figure", null, frame,
      el("figcaption", null, scores,
        found.changed ? el("p.changed", null, "no longer the picture that was retrieved") : null,
        credit(found, what))));
  }
  // Title, author, licence, source: what Creative Commons asks for.
  function credit(found, what) {
    if (found.licence === null) return el("p.credit", null, el("span.title", { dir: "auto", title: found.path }, what));
    const licence = index.licence[found.licence] || "licence not known";
    const name = el("span.title", { dir: "auto", title: what }, found.name || "Untitled");
    return el("p.credit", null,
      name, el("span.by", { dir: "auto" }, found.author ? `by ${found.author}` : "author not known"),
      el("span", null, link(index.licence_url[found.licence], licence), " · ",
        web(found.page) ? link(found.page, "source", `Source of ${what}`) : "source not known"));
  }
  async function fill(card, query) {
    try {
      const { url, tags, asked, found } = await details(query);
      const title = card.querySelector("h3");
      if (web(url)) title.replaceChildren(link(url, title.textContent));
      if (asked) card.querySelector("header").prepend(jpeg(asked, "The picture that was searched for"));
      if (tags) card.querySelector(".facts").append(el("span.tags", { dir: "auto" }, tags));
      const list = el("ol.pictures", null, ...found.map(tile));
      card.querySelector(".pictures").replaceWith(found.length ? list : el("p.pictures", null, "No picture was found."));
    } catch (error) {
      card.querySelector(".pictures").replaceWith(el("p.pictures.note", null, `Its pictures cannot be shown: ${error.message}.`));
    }
  }

  // ---- which queries, in which order
  const wanted = { text: "", outcome: "all", licence: "all", sort: "file" };
  const rank = (value) => (value ? value : Infinity);
  function gain(query) {
    const before = rank(index.before[query]), after = rank(index.after[query]);
    return before === after ? 0 : before - after;
  }
  const OUTCOMES = {
    all: ["all", () => true],
    right: ["right picture first", (query) => index.after[query] === 1],
    wrong: ["another picture first", (query) => index.after[query] !== null && index.after[query] !== 1],
    absent: ["right picture not found", (query) => index.after[query] === 0],
    better: ["improved by reranking", (query) => gain(query) > 0],
    worse: ["worsened by reranking", (query) => gain(query) < 0],
    moved: ["first picture changed by reranking", (query) => index.moved[query] === 1],
  };
  const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const down = (value) => (a, b) => (value(a) === value(b) ? 0 : value(b) > value(a) ? 1 : -1);
  const SORTS = {
    file: ["as in the file", null],
    id: ["id", (a, b) => names.compare(index.id[a], index.id[b])],
    title: ["title", (a, b) => names.compare(index.title[a], index.title[b])],
    best: ["best similarity", down((query) => index.best[query] ?? -Infinity)],
    rank: ["rank of the right picture", down((query) => -rank(index.after[query] || 0))],
    gained: ["most improved", down(gain)],
    lost: ["most worsened", down((query) => -gain(query))],
  };
  let shown = [];
  let page = 0;
  function choose() {
    const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
    const passes = OUTCOMES[wanted.outcome][1];
    const licence = wanted.licence === "all" ? null : Number(wanted.licence);
    shown = [];
    for (let query = 0; query < index.id.length; query++) {
      if (!passes(query) || (licence !== null && !index.licences[query].includes(licence))) continue;
      if (words.length) {
        const text = `${index.id[query]} ${index.title[query]}`.toLowerCase();
        if (!words.every((word) => text.includes(word))) continue;
      }
      shown.push(query);
    }
    const order = SORTS[wanted.sort][1];
    if (order) shown.sort((a, b) => order(a, b) || a - b);
  }

  // ---- the list
  let near;
  function fillOnce(card) {
    near.unobserve(card);
    card.filling ||= fill(card, Number(card.dataset.query));
    return card.filling;
  }
  function draw() {
    near?.disconnect();
    near = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        fillOnce(target);
      }
    }, { rootMargin: "600px 0px" });
    const list = document.getElementById("list");
    const cards = shown.slice(page * PAGE, (page + 1) * PAGE).map((query) =>
      el("article.query", { "data-query": query, tabindex: "-1" }, heading(query), el("div.pictures.empty")));
    list.replaceChildren(...cards);
    if (!cards.length) list.append(el("p.note", null, index.id.length ? "No query is like that." : "There are no queries."));
    cards.forEach((card) => near.observe(card));
    pager();
  }
  function pager() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    const first = page * PAGE;
    const range = shown.length > PAGE ? `${number(first + 1)}–${number(Math.min(first + PAGE, shown.length))} of ` : "";
    const among = shown.length < index.id.length ? ` (${number(index.id.length)} in all)` : "";
    const count = document.getElementById("count");
    if (count) count.textContent = `${range}${number(shown.length)} ${shown.length === 1 ? "query" : "queries"}${among}`;
    const bar = document.getElementById("pager");
    if (pages === 1) return bar.replaceChildren();
    const button = (text, to, off) => {
      const made = el("button", { type: "button", disabled: off }, text);
      made.onclick = () => turn(to);
      return made;
    };
    const at = el("input", { type: "number", min: 1, max: pages, value: page + 1, "aria-label": "Page" });
    at.onchange = () => turn(Math.min(pages, Math.max(1, Math.round(Number(at.value)) || 1)) - 1);
    bar.replaceChildren(button("First", 0, page === 0), button("Previous", page - 1, page === 0),
      el("label", null, "Page ", at, ` of ${number(pages)}`),
      button("Next", page + 1, page === pages - 1), button("Last", pages - 1, page === pages - 1));
  }
  function turn(to) {
    page = to;
    draw();
    document.getElementById("results").scrollIntoView();
    document.getElementById("results").focus({ preventScroll: true });
  }
  function again() { page = 0; choose(); draw(); }

  function controls() {
    const form = document.getElementById("controls");
    if (index.id.length < 2) return;
    const select = (key, label, options) => {
      const made = el("select", { id: `by-${key}` }, ...options.map(([value, text]) => el("option", { value }, text)));
      made.onchange = () => { wanted[key] = made.value; again(); };
      return options.length > 1 ? el("label", null, el("span", null, label), made) : null;
    };
    const text = el("input", { type: "search", id: "by-text", placeholder: "title or id", autocomplete: "off" });
    let later;
    text.oninput = () => { clearTimeout(later); later = setTimeout(() => { wanted.text = text.value; again(); }, 120); };
    const judged = index.after.some((rank) => rank !== null);
    const moved = index.moved.some((moved) => moved);
    const outcomes = Object.entries(OUTCOMES).filter(([key]) =>
      key === "all" || (key === "moved" ? moved : judged && (moved || !["better", "worse"].includes(key) || index.id.some((_, query) => gain(query)))));
    const sorts = Object.entries(SORTS).filter(([key]) => judged || !["rank", "gained", "lost"].includes(key));
    const licences = index.licence.map((name, at) => [String(at), name || "not known"]).sort((a, b) => names.compare(a[1], b[1]));
    const clear = el("button", { type: "button" }, "Clear");
    clear.onclick = () => { form.reset(); reset(); again(); };
    form.append(...[el("label.wide", null, el("span", null, "Filter"), text),
      select("outcome", "Show", outcomes.map(([key, [name]]) => [key, name])),
      select("licence", "With a picture under", [["all", "any licence"], ...licences]),
      select("sort", "Sort by", sorts.map(([key, [name]]) => [key, name])),
      clear, el("p", { id: "count", role: "status" })].filter(Boolean));
    form.onsubmit = (event) => event.preventDefault();
    form.hidden = false;
  }
  function reset() { Object.assign(wanted, { text: "", outcome: "all", licence: "all", sort: "file" }); }

  // #q=ID
  async function follow() {
    if (!location.hash.startsWith("#q=")) return;
    let id = location.hash.slice(3);
    try { id = decodeURIComponent(id); } catch { /* as it stands */ }
    const query = index.id.indexOf(id);
    if (query < 0) return;
    if (!shown.includes(query)) { document.getElementById("controls").reset(); reset(); choose(); }
    page = Math.floor(shown.indexOf(query) / PAGE);
    draw();
    const card = document.querySelector(`[data-query="${query}"]`);
    card.classList.add("target");
    // What comes in later above it would push it away.
    const above = [...document.querySelectorAll(".query")].slice(0, shown.indexOf(query) % PAGE + 1);
    await Promise.all(above.map(fillOnce));
    card.scrollIntoView();
    card.focus({ preventScroll: true });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Change to the ${isDark() ? "light" : "dark"} theme`); };
    button.onclick = () => { root.dataset.theme = isDark() ? "light" : "dark"; store.set(root.dataset.theme); name(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
    button.hidden = false;
    name();
    index = JSON.parse(document.getElementById("index").textContent);
    controls();
    choose();
    draw();
    follow();
    addEventListener("hashchange", follow);
    // What is printed is all of the page that is shown.
    addEventListener("beforeprint", () => document.querySelectorAll(".query").forEach(fillOnce));
  });
})();
