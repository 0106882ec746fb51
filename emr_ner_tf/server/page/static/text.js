// A text with its mentions, drawn piece by piece so that the page never freezes.

import {unitOffsets} from "./offsets.js";

const BLOCK_UNITS = 2000;
const BLOCKS_AT_ONCE = 10;

/**
 * Draws a text.
 *
 * @param {HTMLElement} container is emptied first.
 * @param {string} text
 * @param {Array} mentions in order of start, offsets in code points; those that overlap an earlier one are not drawn.
 * @param {(element: HTMLElement, mention: object) => void} paint is called for the element of each mention.
 * @param {() => boolean} stale tells that something else is to be shown meanwhile.
 * @returns {Promise<number>} how many mentions were not drawn.
 */
export async function drawText(container, text, mentions, paint, stale) {
  container.replaceChildren();
  // What is out of sight is laid out when it comes into sight.
  container.classList.toggle("long", text.length > 10 * BLOCK_UNITS);
  const unit = unitOffsets(text);
  const drawn = [];
  for (const mention of mentions) {
    if (!drawn.length || drawn[drawn.length - 1].end <= mention.start) {
      drawn.push(mention);
    }
  }
  let at = 0;
  let next = 0;
  let blocks = 0;
  while (at < text.length && !stale()) {
    const block = document.createElement("div");
    block.className = "block";
    const end = blockEnd(text, at);
    while (at < end) {
      const mention = drawn[next];
      const start = mention ? unit(mention.start) : text.length;
      if (start >= end) {
        block.append(text.slice(at, end));
        at = end;
        break;
      }
      block.append(text.slice(at, start));
      const element = document.createElement("span");
      element.className = "mention";
      at = unit(mention.end);
      element.textContent = text.slice(start, at);
      paint(element, mention);
      block.append(element);
      next += 1;
    }
    container.append(block);
    blocks += 1;
    if (blocks % BLOCKS_AT_ONCE === 0) {
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  return mentions.length - drawn.length;
}

// Where a block ends, a line ends: after a line break or a sentence if there is one, and never inside a character.
function blockEnd(text, at) {
  const least = at + BLOCK_UNITS;
  const most = least + BLOCK_UNITS;
  if (text.length <= most) {
    return text.length;
  }
  for (const mark of ["\n", "。"]) {
    const found = text.lastIndexOf(mark, most - 1);
    if (found >= least) {
      return found + 1;
    }
  }
  return text.codePointAt(most - 1) > 0xffff ? most + 1 : most;
}
