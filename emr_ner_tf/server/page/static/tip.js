// The description of a mention, shown while the pointer or the focus is on it.

const HIDE_AFTER_MS = 150;
const tip = document.getElementById("tip");
let timer = 0;

export function showTip(element, text) {
  clearTimeout(timer);
  tip.textContent = text;
  tip.hidden = false;
  const place = element.getClientRects()[0];
  const left = Math.min(place.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${window.scrollX + Math.max(0, left)}px`;
  tip.style.top = `${window.scrollY + place.bottom}px`;
}

export function hideTip() {
  clearTimeout(timer);
  timer = setTimeout(() => { tip.hidden = true; }, HIDE_AFTER_MS);
}

// The pointer may go onto it, to select what it says.
tip.addEventListener("pointerenter", () => clearTimeout(timer));
tip.addEventListener("pointerleave", hideTip);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    tip.hidden = true;
  }
});
