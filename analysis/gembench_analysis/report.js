"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = (on) => {
    root.dataset.theme = on ? "dark" : "light";
    document.getElementById("dark").media = on ? "screen" : "not all";
  };
  show(dark.matches);
  dark.addEventListener("change", (event) => show(event.matches));
  document.getElementById("theme").addEventListener("click", () => show(root.dataset.theme !== "dark"));

  // One panel of a figure at a time.
  for (const figure of document.querySelectorAll("figure")) {
    const panels = [...figure.querySelectorAll(".panel")];
    const choice = figure.querySelector(".choice");
    if (!choice) continue;
    const buttons = [...choice.querySelectorAll("button")];
    const pick = (index) => {
      panels.forEach((panel, k) => { panel.hidden = k !== index; });
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === index)));
    };
    buttons.forEach((button, k) => button.addEventListener("click", () => pick(k)));
    if (choice.tagName === "SELECT") choice.addEventListener("change", () => pick(choice.selectedIndex));
    pick(0);
  }

  // What lies under the pointer, in words.
  const tip = document.getElementById("tip");
  const maps = new WeakMap();
  const mapOf = (shape) => {
    if (!maps.has(shape)) maps.set(shape, JSON.parse(shape.dataset.map));
    return maps.get(shape);
  };
  const words = (event) => {
    const shape = event.target.closest("[data-tip],[data-map]");
    if (!shape) return "";
    if (shape.dataset.tip) return shape.dataset.tip;
    const map = mapOf(shape);
    const box = shape.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / box.height * map.rows.length);
    const column = Math.floor((event.clientX - box.left) / box.width * map.columns.length);
    const value = (map.values[row] || [])[column];
    if (value === undefined) return "";
    return `${map.rows[row]}, ${map.columns[column]}: ${value === null ? "not measured" : `${value} ${map.unit}`}`;
  };
  document.addEventListener("pointermove", (event) => {
    const said = words(event);
    tip.hidden = !said;
    if (!said) return;
    tip.textContent = said;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
    const above = event.clientY + 18 + tip.offsetHeight > innerHeight;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${above ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
  });
  document.addEventListener("pointerleave", () => { tip.hidden = true; });
})();
