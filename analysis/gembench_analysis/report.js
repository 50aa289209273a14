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

  // What lies under the pointer, or was reached with the arrow keys, in words.
  const tip = document.getElementById("tip");
  const maps = new WeakMap();
  const mapOf = (shape) => {
    if (!maps.has(shape)) maps.set(shape, JSON.parse(shape.dataset.map));
    return maps.get(shape);
  };
  const cell = (map, row, column) => {
    const value = (map.values[row] || [])[column];
    if (value === undefined) return "";
    return `${map.rows[row]}, ${map.columns[column]}: ${value === null ? "not measured" : `${value} ${map.unit}`}`;
  };
  const words = (event) => {
    const shape = event.target.closest("[data-tip],[data-map]");
    if (!shape) return "";
    if (shape.dataset.tip) return shape.dataset.tip;
    const map = mapOf(shape);
    const box = shape.getBoundingClientRect();
    return cell(map, Math.floor((event.clientY - box.top) / box.height * map.rows.length),
      Math.floor((event.clientX - box.left) / box.width * map.columns.length));
  };
  const tell = (said, x, y) => {
    tip.hidden = !said;
    if (!said) return;
    tip.textContent = said;
    const left = Math.min(x + 14, innerWidth - tip.offsetWidth - 6);
    const above = y + 18 + tip.offsetHeight > innerHeight;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, above ? y - tip.offsetHeight - 10 : y + 18)}px`;
  };
  const under = (event) => tell(words(event), event.clientX, event.clientY);
  document.addEventListener("pointermove", under);
  document.addEventListener("pointerdown", under);  // a tap does not move
  document.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") tell("");  // a finger that is lifted leaves too
  });

  // A figure is one stop of the Tab key; arrow keys go through its marks, or through a map's cells.
  const places = new WeakMap();
  // Parts of no length cannot be seen, so they are no stops.
  const marksOf = (svg) => [...svg.querySelectorAll("[data-tip]")].filter((one) => one.getBBox().width > 0);
  const unmark = () => document.querySelectorAll(".current").forEach((one) => one.classList.remove("current"));
  const visit = (svg, key) => {
    unmark();
    const shape = svg.querySelector("[data-map]");
    const map = shape && mapOf(shape);
    const marks = shape ? [] : marksOf(svg);
    const across = map ? map.columns.length : 1;
    const count = map ? map.rows.length * across : marks.length;
    if (!count) return;
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -count, End: count };
    const wanted = (places.get(svg) || 0) + (move[key] || 0);
    // Beyond the first or last row of a map the column stays.
    const at = map && (key === "ArrowDown" || key === "ArrowUp") && (wanted < 0 || wanted >= count)
      ? places.get(svg) || 0 : Math.min(count - 1, Math.max(0, wanted));
    places.set(svg, at);
    if (map) {
      const box = shape.getBoundingClientRect();
      const row = Math.floor(at / across);
      const column = at % across;
      tell(cell(map, row, column), box.left + (column + 0.5) / across * box.width,
        box.top + (row + 0.5) / map.rows.length * box.height);
    } else {
      const box = marks[at].getBoundingClientRect();
      marks[at].classList.add("current");
      tell(marks[at].dataset.tip, box.left + box.width / 2, box.top + box.height / 2);
    }
  };
  for (const svg of document.querySelectorAll("figure svg")) {
    if (!svg.querySelector("[data-tip],[data-map]")) continue;
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) visit(svg, ""); });
    svg.addEventListener("blur", () => { unmark(); tell(""); });
    svg.addEventListener("keydown", (event) => {
      if (!["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
      event.preventDefault();
      visit(svg, event.key);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { unmark(); tell(""); }
  });

  // On narrow paper cells stand without their heads.
  for (const table of document.querySelectorAll("table.numbers")) {
    const names = [...table.tHead.rows[0].cells].map((one) => one.textContent);
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((one, k) => { one.dataset.column = names[k]; });
  }

  // Tables as CSV; what was not measured is empty, as in the program's CSV.
  const csvOf = (table) => [...table.rows].map((row) => [...row.cells].map((one) => {
    const said = one.textContent === "-" ? "" : one.textContent;
    return /[",\r\n]/.test(said) ? `"${said.replaceAll('"', '""')}"` : said;
  }).join(",")).join("\r\n") + "\r\n";
  const copy = async (said) => {
    try {
      await navigator.clipboard.writeText(said);
    } catch {  // not allowed for this page: the older way
      const box = document.createElement("textarea");
      box.value = said;
      document.body.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      if (!done) throw new Error("refused");
    }
  };
  for (const button of document.querySelectorAll("button.csv")) {
    button.addEventListener("click", async () => {
      const name = button.textContent;
      try {
        await copy(csvOf(button.parentElement.querySelector("table")));
        button.textContent = "copied";
      } catch {
        button.textContent = "not allowed by the browser";
      }
      setTimeout(() => { button.textContent = name; }, 1500);
    });
  }
})();
