// The text beside itself, once for each source of mentions.

import {drawText} from "./text.js";
import {hideTip, showTip} from "./tip.js";

const container = document.getElementById("columns");
let elements = [];

/**
 * Draws the columns.
 *
 * @param {string} text
 * @param {Array} columns of `{title, mentions}`.
 * @param {object} view: `visible(mention)`, `differs(mention)`, `colour(label)`, `describe(mention)`.
 * @param {() => boolean} stale
 * @returns {Promise<number>} how many mentions overlap others and were not drawn.
 */
export async function drawColumns(text, columns, view, stale) {
  container.replaceChildren();
  elements = [];
  let left = 0;
  for (const [number, {title, mentions}] of columns.entries()) {
    const own = [];
    elements.push(own);
    const part = document.createElement("section");
    const heading = document.createElement("h3");
    heading.id = `column-${number}`;
    heading.textContent = title;
    const panel = document.createElement("div");
    panel.className = "text";
    panel.tabIndex = 0;
    panel.lang = "zh";
    panel.setAttribute("role", "region");
    panel.setAttribute("aria-labelledby", heading.id);
    part.append(heading, panel);
    container.append(part);
    listen(panel, own, view);
    const paint = (element, mention) => {
      element.dataset.place = own.length;
      own.push({element, mention});
      paintMention(element, mention, view);
    };
    left += await drawText(panel, text, mentions, paint, stale);
  }
  return left;
}

/** Paints again what the threshold has changed. */
export function repaintColumns(view) {
  for (const own of elements) {
    for (const {element, mention} of own) {
      paintMention(element, mention, view);
    }
  }
}

function paintMention(element, mention, view) {
  const visible = view.visible(mention);
  element.classList.toggle("below", !visible);
  element.classList.toggle("differs", visible && view.differs(mention));
  if (visible === element.hasAttribute("role")) {
    return;
  }
  if (visible) {
    element.classList.add(...view.colour(mention.label));
    element.dataset.label = mention.label;
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", view.describe(mention).replaceAll("\n", ", "));
    // Tab goes from text to text; the arrow keys go from mention to mention.
    element.tabIndex = -1;
  } else {
    for (const name of ["role", "aria-label", "tabindex"]) {
      element.removeAttribute(name);
    }
  }
}

function listen(panel, own, view) {
  const found = (event) => {
    const element = event.target.closest(".mention:not(.below)");
    return element && own[Number(element.dataset.place)];
  };
  for (const name of ["pointerover", "focusin", "click"]) {
    panel.addEventListener(name, (event) => {
      const one = found(event);
      if (one) {
        showTip(one.element, view.describe(one.mention));
      }
    });
  }
  panel.addEventListener("pointerout", hideTip);
  panel.addEventListener("focusout", hideTip);
  panel.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const places = {Home: 0, End: own.length - 1};
    if (step === undefined && places[event.key] === undefined) {
      return;
    }
    const one = found(event);
    let place = places[event.key];
    if (place === undefined) {
      place = one ? Number(one.element.dataset.place) + step : step > 0 ? 0 : own.length - 1;
    }
    const direction = step || (event.key === "End" ? -1 : 1);
    while (own[place] && own[place].element.classList.contains("below")) {
      place += direction;
    }
    if (own[place]) {
      event.preventDefault();
      own[place].element.focus();
    }
  });
}
