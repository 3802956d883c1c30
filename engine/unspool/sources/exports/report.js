"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const rows = [...$("entries").children];
  const states = [data.base];
  const open = new Set();
  let head = -1;
  let base = -1;
  const part = (n, kind) => rows[n].querySelector(kind)?.textContent ?? "";
  if (!data.follows.length) data.follows = rows.map((_, n) => Math.max(0, n - 1));
  const OPS = { add: "add", rem: "remove", rep: "replace", mov: "move" };
  data.patches = data.patches.map((patch) => patch.map(([op, path, rest]) => (op === "mov" ? { op: "move", path, from: rest } : { op: OPS[op], path, value: rest })));

  // Text is only ever put in as text; what would act instead of showing is spelled out.
  const spell = (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`;
  const inert = (text, keep) =>
    text.split(/([\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])/u).map((part, n) =>
      n % 2 && !(keep && part === "\n") ? make("span", "odd", part === "\n" ? "\\n" : spell(part)) : part);
  const make = (name, kind, ...parts) => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    element.append(...parts);
    return element;
  };
  for (const row of rows) {
    if (row.dataset.l) row.append(make("span", "place", ...inert(data.lines[row.dataset.l])));
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    row.tabIndex = -1;
  }

  // Values: JSON, and objects of one key with a dollar for what JSON cannot say.
  const isTag = (value) => plain(value) !== undefined;
  const isBox = (value) => value !== null && typeof value === "object" && !isTag(value);
  const own = (box, key) => (Object.prototype.hasOwnProperty.call(box, key) ? box[key] : undefined);
  const plain = (value) => {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    const keys = Object.keys(value);
    if (!keys.length || keys[0][0] !== "$" || keys.length > 2) return undefined;
    const content = value[keys[0]];
    if (keys[0] === "$unrepresentable") return `${content}: ${value.reason}`;
    if (keys[0] === "$cut") return `${content}… (${value.length} characters)`;
    if (keys.length > 1 || content === null || typeof content === "object") return undefined;
    return keys[0] === "$int" || keys[0] === "$float" ? content : `${keys[0].slice(1)} ${content}`;
  };
  const brief = (value, room = 160) => {
    if (typeof value === "string") return JSON.stringify(value);
    if (!isBox(value)) return plain(value) ?? String(value);
    const isList = Array.isArray(value);
    const keys = Object.keys(value);
    let text = "";
    for (const key of keys) {
      if (text.length > room) return `${isList ? "[" : "{"}${text}, … ${keys.length} in all${isList ? "]" : "}"}`;
      const item = isBox(value[key]) ? (room > 40 ? brief(value[key], room / 3) : "…") : brief(value[key]);
      text += (text ? ", " : "") + (isList ? "" : `${key}: `) + item;
    }
    return isList ? `[${text}]` : `{${text}}`;
  };
  const LEAF = 2000;
  const leaf = (value) => {
    const isText = typeof value === "string" || (isTag(value) && "$cut" in value);
    const kind = isText ? "s" : typeof value === "number" || isTag(value) ? "n" : typeof value === "boolean" ? "w" : "z";
    const isLong = typeof value === "string" && value.includes("\n");
    const text = isLong ? value : brief(value);
    const element = make("span", isLong ? `val ${kind} block` : `val ${kind}`, ...inert(text.slice(0, LEAF), isLong));
    if (text.length > LEAF) {
      const more = make("button", "more", `… ${text.length - LEAF} more`);
      more.onclick = () => { element.append(...inert(text.slice(LEAF), isLong)); more.remove(); };
      element.append(more);
    }
    return element;
  };

  // Patches: RFC 6902. States share what did not change, so keeping all of them is cheap.
  const steps = (path) => path.split("/").slice(1).map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
  const at = (value, path) => path.reduce((box, step) => (box && typeof box === "object" ? own(box, step) : undefined), value);
  const copy = (box) => (Array.isArray(box) ? box.slice() : Object.assign(Object.create(null), box));
  const edited = (root, path, change) => {
    const top = copy(root);
    let box = top;
    for (const step of path.slice(0, -1)) box = box[step] = copy(box[step]);
    change(box, path[path.length - 1]);
    return top;
  };
  const put = (value) => (box, step) => {
    if (Array.isArray(box)) box.splice(step === "-" ? box.length : Number(step), 0, value);
    else box[step] = value;
  };
  const drop = (box, step) => (Array.isArray(box) ? box.splice(Number(step), 1) : delete box[step]);
  const applied = (state, op) => {
    const path = steps(op.path);
    if (op.op === "add") return edited(state, path, put(op.value));
    if (op.op === "remove") return edited(state, path, drop);
    if (op.op === "replace") return edited(state, path, (box, step) => { box[step] = op.value; });
    const from = steps(op.from);
    return edited(edited(state, from, drop), path, put(at(state, from)));
  };
  const stateAt = (index) => {
    for (let next = states.length; next <= index; next++) states[next] = data.patches[next].reduce(applied, states[data.follows[next]]);
    return states[index];
  };

  // What changed.
  const pathText = (state, path) => {
    let text = "";
    let box = state;
    for (const step of path) {
      text += Array.isArray(box) ? `[${step}]` : /^[\p{L}_][\p{L}\p{N}_-]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
      box = box && typeof box === "object" ? own(box, step) : undefined;
    }
    return text.replace(/^\./, "");
  };
  // Lines of two texts: kept, taken out, put in. Very long middles are told as one block.
  const lineDiff = (before, after) => {
    const steps = [];
    let start = 0;
    while (start < Math.min(before.length, after.length) && before[start] === after[start]) steps.push(["same", before[start++]]);
    let end = 0;
    while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end++;
    const old = before.slice(start, before.length - end);
    const now = after.slice(start, after.length - end);
    const wide = now.length + 1;
    const longest = old.length * now.length <= 4e6 ? new Uint32Array((old.length + 1) * wide) : null;
    for (let n = old.length - 1; longest && n >= 0; n--)
      for (let m = now.length - 1; m >= 0; m--)
        longest[n * wide + m] = old[n] === now[m] ? longest[(n + 1) * wide + m + 1] + 1 : Math.max(longest[(n + 1) * wide + m], longest[n * wide + m + 1]);
    let n = 0;
    let m = 0;
    while (n < old.length || m < now.length) {
      if (longest && n < old.length && m < now.length && old[n] === now[m]) { steps.push(["same", old[n++]]); m++; }
      else if (n < old.length && !(longest && m < now.length && longest[n * wide + m + 1] > longest[(n + 1) * wide + m])) steps.push(["was", old[n++]]);
      else steps.push(["now", now[m++]]);
    }
    for (; end > 0; end--) steps.push(["same", before.at(-end)]);
    return steps;
  };
  const longText = (was, now) => {
    const steps = lineDiff(was.split("\n"), now.split("\n"));
    const near = steps.map((_, n) => steps.slice(Math.max(0, n - 2), n + 3).some(([kind]) => kind !== "same"));
    const parts = [];
    for (let n = 0; n < steps.length; ) {
      let stop = n;
      if (!near[n]) {
        while (stop < steps.length && !near[stop]) stop++;
        parts.push(make("span", "same skipped", `${stop - n} lines`));
      } else {
        while (stop < steps.length && near[stop] && steps[stop][0] === steps[n][0]) stop++;
        parts.push(make("span", steps[n][0], ...inert(steps.slice(n, stop).map((step) => step[1]).join("\n"), true)));
      }
      n = stop;
    }
    return parts;
  };
  const isShort = (value) => !isBox(value) && brief(value).length <= 48;
  const shown = (op, was) => {
    const isText = typeof was === "string" && typeof op.value === "string" && (was + op.value).includes("\n");
    if (op.op === "replace" && isText) return longText(was, op.value);
    if (op.op === "replace" && isShort(was) && isShort(op.value)) return [make("span", "old", leaf(was)), " → ", make("span", "new", leaf(op.value))];
    if (op.op === "remove" && isShort(was)) return [make("span", "old", leaf(was))];
    if (op.op === "add" && isShort(op.value)) return [make("span", "new", leaf(op.value))];
    const parts = [];
    if (op.op === "remove" || op.op === "replace") parts.push(make("span", "was", ...inert(brief(was))));
    if (op.op === "add" || op.op === "replace") parts.push(make("span", "now", ...inert(brief(op.value))));
    return parts;
  };
  const escaped = (key) => String(key).replace(/~/g, "~0").replace(/\//g, "~1");
  const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
  // The steps from one state to another: members by name, lists by position.
  const between = (was, now, path = "") => {
    const isList = Array.isArray(was);
    if (!isBox(was) || !isBox(now) || isList !== Array.isArray(now)) return same(was, now) ? [] : [{ op: "replace", path, value: now }];
    const ops = [];
    const keys = isList ? [...now.keys()].slice(0, was.length) : Object.keys(now);
    for (const key of keys) {
      const place = `${path}/${escaped(key)}`;
      if (!isList && own(was, key) === undefined && !Object.keys(was).includes(key)) ops.push({ op: "add", path: place, value: now[key] });
      else if (was[key] !== now[key]) ops.push(...between(was[key], now[key], place));
    }
    if (isList) {
      for (let n = was.length - 1; n >= now.length; n--) ops.push({ op: "remove", path: `${path}/${n}` });
      for (let n = was.length; n < now.length; n++) ops.push({ op: "add", path: `${path}/${n}`, value: now[n] });
    } else for (const key of Object.keys(was)) if (!Object.keys(now).includes(key)) ops.push({ op: "remove", path: `${path}/${escaped(key)}` });
    return ops;
  };
  const stepsTo = (index) => {
    if (base >= 0 && base !== index) return [stateAt(base), between(stateAt(base), stateAt(index))];
    if (index) return [stateAt(data.follows[index]), data.patches[index]];
    return [{}, Object.keys(data.base).map((atom) => ({ op: "add", path: `/${escaped(atom)}`, value: data.base[atom] }))];
  };
  // Who set a value: the nearest entry before whose steps touch its place, what is around it, or a part of it.
  const writer = (index, path) => {
    for (let n = index; n > 0; n = data.follows[n])
      for (const op of data.patches[n])
        for (const touched of op.from ? [op.path, op.from] : [op.path])
          if (touched === path || path.startsWith(`${touched}/`) || touched.startsWith(`${path}/`)) return n;
    return 0;
  };
  const changes = (index) => {
    let [state, ops] = stepsTo(index);
    const groups = new Map();
    for (const op of ops) {
      const path = steps(op.path);
      const was = at(state, path);
      const whole = path.length === 1;
      const kind = !whole ? "mod" : op.op === "add" ? "add" : op.op === "remove" ? "del" : "mod";
      if (!groups.has(path[0])) groups.set(path[0], { kind, parts: [] });
      const next = applied(state, op);
      const words = op.op === "move" ? `${pathText(state, steps(op.from))} → ${pathText(next, path)}` : pathText(op.op === "remove" ? state : next, path);
      const lines = shown(op, was);
      const group = groups.get(path[0]);
      if (group.parts.length < 200) group.parts.push(make("div", "op", ...(whole ? [] : [make("span", `path ${op.op}`, ...inert(words))]), ...lines));
      state = next;
    }
    return [...groups].map(([atom, { kind, parts }]) => {
      const glyph = make("span", kind, { add: "+", mod: "~", del: "−" }[kind]);
      return make("div", "atom", make("h3", "", glyph, make("div", "", ...inert(atom))), ...parts);
    });
  };

  // The state as a tree; what is open stays open from entry to entry.
  const CHILDREN = 200;
  const branch = (box, path, hits) => {
    const keys = Object.keys(box);
    const kids = make("div", "kids");
    const grow = (from) => {
      for (const key of keys.slice(from, from + CHILDREN)) kids.append(...node(key, box[key], `${path}/${escaped(key)}`, hits));
      if (keys.length > from + CHILDREN) {
        const more = make("button", "more", `${keys.length - from - CHILDREN} more`);
        more.onclick = () => { more.remove(); grow(from + CHILDREN); };
        kids.append(more);
      }
    };
    grow(0);
    return kids;
  };
  const node = (key, value, path, hits) => {
    const row = make("div", hits.has(path) ? "row hit" : "row");
    const name = make("button", "key", ...inert(key));
    if (path[0] === "/") name.onclick = () => blame(path);
    else name.disabled = true;
    if (!isBox(value)) {
      row.append(make("span", "fold"), name, leaf(value));
      return [row];
    }
    const button = make("button", "fold", "▸");
    const [tag] = Object.keys(value);
    if (/^\$(tuple|set|frozenset|pairs)$/.test(tag) && Array.isArray(value[tag])) {
      row.append(make("span", "val z", tag.slice(1)));
      value = value[tag];
    }
    const count = Object.keys(value).length;
    const hint = Object.values(value).slice(0, 8).every(isBox) ? "" : brief(value, 40);
    const size = make("span", "val z", Array.isArray(value) ? `[${count}]` : `{${count}}`, " ", ...inert(hint));
    row.prepend(button, name);
    row.append(size);
    let kids = null;
    const toggle = () => {
      if (kids) { kids.remove(); kids = null; open.delete(path); }
      else { kids = branch(value, path, hits); row.after(kids); open.add(path); }
      button.textContent = kids ? "▾" : "▸";
      button.setAttribute("aria-expanded", String(Boolean(kids)));
    };
    button.onclick = toggle;
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `parts of ${name.textContent}`);
    if (open.has(path) || hits.has(path)) {
      const wasOpen = open.has(path);
      kids = branch(value, path, hits);
      button.textContent = "▾";
      if (!wasOpen) open.delete(path);
    }
    return kids ? [row, kids] : [row];
  };
  const about = (facts) => {
    const details = make("details", "facts-of", make("summary", "", ...inert(brief(facts, 90))));
    details.ontoggle = () => { if (details.open && details.children.length === 1) details.append(branch(facts, "#", new Set())); };
    return details;
  };
  const tree = (index) => {
    const hits = new Set();
    for (const op of index ? data.patches[index] : []) {
      const parts = op.path.split("/");
      for (let length = 2; length <= Math.min(parts.length, 40); length++) hits.add(parts.slice(0, length).join("/"));
    }
    const kids = branch(stateAt(index), "", hits);
    kids.className = "";
    return kids;
  };
  const told = (n) => [`entry ${data.seqs[n]}`, part(n, ":scope > span:not([class])"), part(n, ".place")].filter(Boolean).join(", ");
  const blame = (path) => {
    const n = writer(head, path);
    const link = make("button", "more", `entry ${data.seqs[n]}`);
    link.onclick = () => go(n);
    const words = [pathText(stateAt(head), steps(path)), n ? " was set at " : " was there at ", link, " ", part(n, ":scope > span:not([class])"), " ", part(n, ".place")];
    $("who").replaceChildren(...words.flatMap((part) => (typeof part === "string" ? inert(part) : [part])));
  };

  // The timeline: bytes an entry took; full entries stand out.
  const canvas = $("timeline");
  const top = Math.max(1, ...data.bytes);
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = (canvas.width = canvas.clientWidth * ratio);
    const height = (canvas.height = canvas.clientHeight * ratio);
    const colors = getComputedStyle(document.documentElement);
    const pen = canvas.getContext("2d");
    const step = width / data.bytes.length;
    const bar = Math.max(1, Math.min(step - (step > 4 ? ratio : 0), 24 * ratio));
    data.bytes.forEach((bytes, n) => {
      pen.fillStyle = colors.getPropertyValue(data.full[n] ? "--bar-full" : "--bar");
      const tall = Math.max(2 * ratio, (height - 8 * ratio) * Math.sqrt(bytes / top));
      pen.fillRect((n + 0.5) * step - bar / 2, height - tall, bar, tall);
    });
    pen.fillStyle = colors.getPropertyValue("--removed");
    pen.fillRect((head + 0.5) * step - ratio, 0, 2 * ratio, height);
  };
  const scrub = (event) => {
    if (event.buttons) go(Math.floor((event.offsetX / canvas.clientWidth) * rows.length));
  };

  const go = (index) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    if (next === head || !rows.length) return;
    if (head >= 0) select(head, false);
    head = next;
    select(head, true);
    const toHead = () => rows[head].scrollIntoView({ block: "nearest" });
    toHead();
    // Rows that were never drawn are taken for lower than they are.
    requestAnimationFrame(toHead);
    if ($("entries").contains(document.activeElement)) rows[head].focus();
    paint();
  };
  const select = (n, isOn) => {
    rows[n].classList.toggle("on", isOn);
    rows[n].setAttribute("aria-selected", String(isOn));
    rows[n].tabIndex = isOn ? 0 : -1;
  };
  const paint = () => {
    const from = base >= 0 && base !== head ? base : data.follows[head];
    $("where").textContent = head || base >= 0 ? `#${data.seqs[from]} → #${data.seqs[head]}` : `#${data.seqs[head]}`;
    $("at").textContent = `@ #${data.seqs[head]}`;
    $("base").textContent = base < 0 ? "compare from here" : `stop comparing from #${data.seqs[base]}`;
    $("base").setAttribute("aria-pressed", String(base >= 0));
    $("who").replaceChildren("Choose a name in the state for the entry that set its value.");
    canvas.setAttribute("aria-valuenow", String(data.seqs[head]));
    canvas.setAttribute("aria-valuetext", told(head));
    $("live").textContent = told(head);
    const facts = data.meta[head];
    const said = facts && base < 0 ? [about(facts)] : [];
    const found = changes(head);
    $("changes").replaceChildren(...said, ...(found.length ? found : [make("p", "quiet", "Nothing changed here.")]));
    $("tree").replaceChildren(tree(head));
    history.replaceState(null, "", `#${data.seqs[head]}`);
    draw();
  };
  const visible = (from, by) => {
    for (let n = from + by; n >= 0 && n < rows.length; n += by) if (!rows[n].hidden) return n;
    return from;
  };
  rows.forEach((row, n) => { row.onclick = () => go(n); });
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); scrub(event); };
  canvas.onpointermove = scrub;
  // Names and values too: what an entry changed is searched as the text that it is.
  const texts = [];
  const textOf = (n) => (texts[n] ??= `${rows[n].textContent} ${JSON.stringify(n ? data.patches[n] : data.base)}`.toLowerCase());
  $("filter").oninput = (event) => {
    const words = event.target.value.toLowerCase();
    let left = 0;
    rows.forEach((row, n) => { row.hidden = !textOf(n).includes(words); left += row.hidden ? 0 : 1; });
    $("live").textContent = `${left} of ${rows.length} entries`;
  };
  const compare = () => { base = base < 0 ? head : -1; if (head >= 0) paint(); };
  $("base").onclick = compare;
  document.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    if (event.target === $("filter")) {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    const moves = { ArrowLeft: -1, ArrowUp: -1, ",": -1, k: -1, ArrowRight: 1, ArrowDown: 1, ".": 1, j: 1 };
    if (moves[event.key]) go(visible(head, moves[event.key]));
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(rows.length - 1);
    else if (event.key === "/") $("filter").focus();
    else if (event.key === "m") compare();
    else return;
    event.preventDefault();
  };
  window.onresize = draw;
  matchMedia("(prefers-color-scheme: dark)").onchange = draw;
  canvas.setAttribute("aria-valuemin", String(data.seqs[0] ?? 0));
  canvas.setAttribute("aria-valuemax", String(data.seqs[data.seqs.length - 1] ?? 0));
  const asked = data.seqs.indexOf(Number(location.hash.slice(1)));
  go(location.hash && asked >= 0 ? asked : rows.length - 1);
})();
