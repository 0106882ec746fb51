// The table of mentions: a row for each span and label, a column with the probability for each source.

const ROWS_AT_ONCE = 200;
const head = document.getElementById("head");
const body = document.getElementById("rows");
const more = document.getElementById("more");
let rows = [];
let shown = 0;
let view = null;

more.addEventListener("click", () => append());

/**
 * Shows the table.
 *
 * @param {Array} columns of `{title, mentions}`; all of their mentions are visible.
 * @param {object} newView: `colour(label)`, `surface(mention)`, `differs(mention)`, `words(differs)`.
 */
export function showTable(columns, newView) {
  view = newView;
  const byKey = new Map();
  for (const [number, {mentions}] of columns.entries()) {
    for (const mention of mentions) {
      const key = `${mention.start},${mention.end},${mention.label}`;
      if (!byKey.has(key)) {
        byKey.set(key, {mention, scores: Array(columns.length).fill(undefined)});
      }
      byKey.get(key).scores[number] = mention.score;
    }
  }
  rows = [...byKey.values()].sort((one, two) =>
    one.mention.start - two.mention.start || one.mention.end - two.mention.end);
  head.querySelectorAll(".source").forEach((cell) => cell.remove());
  const difference = document.getElementById("difference");
  difference.hidden = columns.length < 2;
  for (const {title} of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = "source";
    cell.textContent = title;
    difference.before(cell);
  }
  body.replaceChildren();
  shown = 0;
  append();
}

/** The table as tab-separated lines, all rows of it. */
export function tableText() {
  // A spreadsheet takes a cell that begins with one of these for a formula; CSV files have the same apostrophe.
  const clean = (value) => value.replaceAll(/[\t\r\n]+/g, " ").replace(/^(?='*[=+\-@])/, "'");
  const lines = [[...head.cells].filter((cell) => !cell.hidden).map((cell) => clean(cell.textContent))];
  for (const row of rows) {
    lines.push(values(row).map(clean));
  }
  return lines.map((line) => line.join("\t")).join("\n");
}

function append() {
  const last = Math.min(rows.length, shown + ROWS_AT_ONCE);
  for (; shown < last; shown += 1) {
    const row = rows[shown];
    const line = body.insertRow();
    line.classList.toggle("differs", view.differs(row.mention));
    for (const [number, value] of values(row).entries()) {
      const cell = line.insertCell();
      cell.className = number === 0 ? "words" : "number";
      if (number === 1) {
        const swatch = document.createElement("span");
        swatch.classList.add("swatch", ...view.colour(row.mention.label));
        swatch.textContent = value;
        cell.append(swatch);
      } else {
        cell.textContent = value;
      }
    }
  }
  more.hidden = shown >= rows.length;
}

function values({mention, scores}) {
  const cells = [view.surface(mention), mention.label, String(mention.start), String(mention.end)];
  for (const score of scores) {
    cells.push(score === undefined ? "–" : score === null ? "✓" : score.toFixed(4));
  }
  return scores.length > 1 ? [...cells, view.words(view.differs(mention))] : cells;
}
