// What the page does: reads its controls, asks the server, and draws what it answers.

import {drawColumns, repaintColumns} from "./columns.js";
import {unitOffsets} from "./offsets.js";
import {UnreadableFile, annotate, listModels, readFiles, writeRecords} from "./server.js";
import {showTable, tableText} from "./table.js";

const COLOURS = 9;
const LINES = 4;
// Characters of the records that one request annotates, for a download of many.
const BATCH_CHARACTERS = 20000;
const FILE_SOURCE = "file";

const messages = JSON.parse(document.getElementById("messages").textContent);
const by = (id) => document.getElementById(id);
// `shown` are the models whose mentions are drawn: a box that was just ticked counts when its mentions have arrived.
const state = {
  models: [], shown: [], records: [], place: 0, labels: new Map(), run: 0, counts: new Map(),
  waiting: 0, last: Promise.resolve(), numbered: 0,
};

function say(key, values = {}) {
  return messages[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function tell(text) {
  by("status").textContent = text;
}

function complain(error) {
  tell("");
  const unread = error instanceof UnreadableFile;
  by("error").textContent = unread ? say("unreadable", {name: error.message}) : error.message || say("no_answer");
}

// Sources: the versions that are shown, and the annotation of the file where it has one.

function sources(record) {
  const annotated = record.entities.length ? [{id: FILE_SOURCE, title: say("from_file")}] : [];
  return [...state.shown, ...annotated];
}

function mentionsOf(record, source) {
  return source.id === FILE_SOURCE ? record.entities : record.found.get(source.id) || [];
}

function visible(mention) {
  return mention.score === null || mention.score === undefined || mention.score >= Number(by("threshold").value);
}

function keyOf(mention) {
  return `${mention.start},${mention.end},${mention.label}`;
}

function colour(label) {
  if (!state.labels.has(label)) {
    state.labels.set(label, state.labels.size);
  }
  const place = state.labels.get(label);
  return [`c${place % COLOURS}`, `k${Math.floor(place / COLOURS) % LINES}`];
}

// Drawing.

function view(record) {
  const unit = unitOffsets(record.text);
  const number = sources(record).length;
  return {
    visible,
    colour,
    differs: (mention) => number > 1 && state.counts.get(keyOf(mention)) !== number,
    words: (differs) => say(differs ? "differs" : "same"),
    surface: (mention) => record.text.slice(unit(mention.start), unit(mention.end)),
    describe: (mention) => {
      const parts = [mention.label, `${say("characters")} ${mention.start}–${mention.end}`];
      if (typeof mention.score === "number") {
        parts.splice(1, 0, `${say("probability")} ${mention.score.toFixed(4)}`);
      }
      return parts.join("\n");
    },
  };
}

function columnsOf(record) {
  return sources(record).map((source) => ({title: source.title, mentions: mentionsOf(record, source)}));
}

function count(record) {
  state.counts = new Map();
  for (const {mentions} of columnsOf(record)) {
    for (const key of new Set(mentions.filter(visible).map(keyOf))) {
      state.counts.set(key, (state.counts.get(key) || 0) + 1);
    }
  }
}

function drawLegend(record) {
  const numbers = new Map();
  for (const {mentions} of columnsOf(record).slice(0, 1)) {
    for (const mention of mentions.filter(visible)) {
      numbers.set(mention.label, (numbers.get(mention.label) || 0) + 1);
    }
  }
  by("legend").replaceChildren(...[...state.labels.keys()].map((label) => {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.classList.add("swatch", ...colour(label));
    swatch.textContent = label;
    item.append(swatch, ` ${numbers.get(label) || 0}`);
    return item;
  }));
}

function drawTable(record) {
  const columns = columnsOf(record).map(({title, mentions}) => ({title, mentions: mentions.filter(visible)}));
  showTable(columns, view(record));
}

async function draw() {
  const record = state.records[state.place];
  state.run += 1;
  const run = state.run;
  by("result").hidden = false;
  by("records").hidden = state.records.length < 2;
  by("record").value = String(state.place);
  by("previous").disabled = state.place === 0;
  by("next").disabled = state.place === state.records.length - 1;
  fillSources();
  count(record);
  columnsOf(record).forEach(({mentions}) => mentions.forEach((mention) => colour(mention.label)));
  drawLegend(record);
  drawTable(record);
  const stale = () => run !== state.run;
  const left = await drawColumns(record.text, columnsOf(record), view(record), stale);
  if (!stale()) {
    by("overlaps").textContent = left ? say("hidden_overlaps", {count: left}) : "";
  }
}

function fillSources() {
  const chosen = by("source").value;
  const options = state.shown.map((one) => new Option(one.title, one.id));
  by("source").replaceChildren(...options);
  if (options.some((option) => option.value === chosen)) {
    by("source").value = chosen;
  }
}

// Annotation.

async function annotateRecords(records, wanted) {
  for (const source of wanted) {
    const missing = records.filter((record) => !record.found.has(source.id));
    while (missing.length) {
      const batch = [missing.shift()];
      let size = batch[0].text.length;
      while (missing.length && size + missing[0].text.length <= BATCH_CHARACTERS) {
        size += missing[0].text.length;
        batch.push(missing.shift());
      }
      const found = await annotate(source, batch.map((record) => record.text));
      batch.forEach((record, i) => record.found.set(source.id, found[i]));
    }
  }
}

async function show(place, records = state.records) {
  const record = records[place];
  if (!record) {
    return;
  }
  by("error").textContent = "";
  tell(`${say("annotating")} …`);
  const began = performance.now();
  // Another version may be served by now.
  takeModels(await listModels());
  const wanted = state.models.filter((one) => by(one.id).checked);
  if (!wanted.length) {
    throw new Error(say("no_model"));
  }
  await annotateRecords([record], wanted);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  // Until here, what was shown before still is what the other controls are about.
  if (records !== state.records) {
    state.records = records;
    by("record").replaceChildren(...records.map((one, i) => new Option(`${i + 1}: ${one.id}`, String(i))));
  }
  state.place = place;
  state.shown = wanted;
  await draw();
  const number = wanted.reduce((sum, source) => sum + mentionsOf(record, source).length, 0);
  tell(say("done", {mentions: number, seconds}));
}

async function start(documents) {
  await show(0, documents.map((one) => ({...one, found: new Map()})));
}

async function open(files) {
  by("error").textContent = "";
  tell(`${say("reading")} …`);
  const read = await readFiles(files, {
    format: by("format").value,
    encoding: by("encoding").value,
    offset_unit: by("offset-unit").value,
  });
  const problems = read.left_out ? [`${say("left_out", {count: read.left_out})}\n${read.problems.join("\n")}`] : [];
  if (read.left_out > read.problems.length) {
    problems.push(say("more_left_out", {count: read.left_out - read.problems.length}));
  }
  if (read.more) {
    problems.push(say("only_first", {count: read.documents.length}));
  }
  if (!read.documents.length) {
    throw new Error([say("no_records"), ...problems].join("\n"));
  }
  await start(read.documents);
  by("text").value = "";
  tell(`${say("read", {count: read.documents.length, format: read.format})}. ${by("status").textContent}`);
  by("error").textContent = problems.join("\n");
}

async function submit() {
  const text = by("text").value;
  if (text) {
    await start([{id: "1", text, entities: []}]);
  } else if (by("files").files.length) {
    await open(by("files").files);
  } else {
    throw new Error(say("no_text"));
  }
}

// Copy and download.

async function copy() {
  const text = tableText();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS, only pages of this machine may use the clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) {
      throw new Error(say("not_copied"));
    }
  }
  tell(say("copied"));
}

async function download(format, name) {
  const source = state.shown.find((one) => one.id === by("source").value);
  tell(`${say("annotating")} …`);
  await annotateRecords(state.records, [source]);
  const documents = state.records.map(({found, ...record}) => ({
    ...record,
    entities: found.get(source.id).filter(visible),
  }));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await writeRecords(documents, format));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  tell(say("saved", {count: documents.length, name}));
}

// Controls.

// One after the other: what is asked while the server works is done next.
function work(action) {
  state.waiting += 1;
  document.body.setAttribute("aria-busy", "true");
  state.last = state.last.then(action).catch(complain).then(() => {
    by("record").value = String(state.place);
    state.waiting -= 1;
    document.body.setAttribute("aria-busy", String(state.waiting > 0));
  });
  return state.last;
}

function repaint() {
  const record = state.records[state.place];
  by("threshold-value").textContent = Number(by("threshold").value).toFixed(2);
  count(record);
  repaintColumns(view(record));
  drawLegend(record);
  drawTable(record);
}

let frame = 0;
by("threshold").addEventListener("input", () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(repaint);
});
by("show-labels").addEventListener("change", (event) => {
  by("columns").classList.toggle("show-labels", event.target.checked);
});
by("form").addEventListener("submit", (event) => {
  event.preventDefault();
  work(submit);
});
// The same file, chosen again after another format or unit, is no change unless nothing is chosen.
by("files").addEventListener("click", (event) => {
  event.target.value = "";
});
by("files").addEventListener("change", (event) => {
  const files = [...event.target.files];
  if (files.length) {
    work(() => open(files));
  }
});
by("record").addEventListener("change", (event) => work(() => show(Number(event.target.value))));
by("previous").addEventListener("click", () => work(() => show(state.place - 1)));
by("next").addEventListener("click", () => work(() => show(state.place + 1)));
by("copy").addEventListener("click", () => work(copy));
for (const button of document.querySelectorAll("button[data-format]")) {
  button.addEventListener("click", () => work(() => download(button.dataset.format, button.dataset.name)));
}
// Text that is dropped goes where it is dropped, as without this page.
const holdsFiles = (event) => event.dataTransfer.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (holdsFiles(event)) {
    event.preventDefault();
    document.body.classList.add("dropping");
  }
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (holdsFiles(event)) {
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    work(() => open(files));
  }
});

// Takes over what the server serves now. Versions that stay keep their boxes; one that replaces others is ticked as they were.
function takeModels(models) {
  const same = (one) => (other) => other.model === one.model && other.version === one.version;
  if (models.length === state.models.length && models.every((one, i) => same(one)(state.models[i]))) {
    return;
  }
  const ticked = state.models.filter((one) => by(one.id).checked);
  const gone = ticked.filter((one) => !models.some(same(one)));
  const first = !state.models.length;
  state.models = models.map((one, i) => {
    const known = state.models.find(same(one));
    const replaces = !known && gone.some((other) => other.model === one.model);
    const checked = first ? i < 2 : replaces || ticked.some(same(one));
    if (replaces) {
      gone.splice(gone.findIndex((other) => other.model === one.model), 1);
    }
    state.numbered += known ? 0 : 1;
    const title = `${one.model} ${say("version")} ${one.version}`;
    return {...one, id: known ? known.id : `model-${state.numbered - 1}`, title, checked};
  });
  state.models.forEach((one) => one.labels.forEach(colour));
  listModelBoxes();
}

function listModelBoxes() {
  by("models").replaceChildren(...state.models.map((one) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.id = one.id;
    box.checked = one.checked;
    box.addEventListener("change", () => {
      if (state.records.length) {
        work(() => show(state.place));
      }
    });
    const label = document.createElement("label");
    label.htmlFor = one.id;
    label.textContent = one.title;
    const item = document.createElement("span");
    item.append(box, " ", label);
    return item;
  }));
}

await work(async () => takeModels(await listModels()));
