"use strict";
(() => {
  // A table that is wider than the page scrolls, with the keyboard, too.
  const reach = () => {
    for (const part of document.querySelectorAll(".scroll")) {
      if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  reach();
})();
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const kind = document.getElementById("kind");
  const label = document.getElementById("label");
  const status = document.getElementById("shown");
  const articles = [...document.querySelectorAll("article[data-errors]")];
  // Each token is KIND:LABEL, both as numbers.
  const matches = (tokens) =>
    tokens.split(" ").some((token) => {
      const [ofKind, ofLabel] = token.split(":");
      return (!kind.value || kind.value === ofKind) && (!label.value || label.value === ofLabel);
    });
  const apply = () => {
    let shown = 0;
    for (const article of articles) {
      article.hidden = !matches(article.dataset.errors);
      shown += article.hidden ? 0 : 1;
      for (const row of article.querySelectorAll("tr[data-errors]")) row.hidden = !matches(row.dataset.errors);
    }
    status.textContent = `${shown} of ${articles.length} records`;
  };
  form.addEventListener("change", apply);
  form.hidden = false;
  apply();
})();
