"use strict";
for (const button of document.querySelectorAll(".thumbnail")) {
  button.addEventListener("click", () => {
    const large = button.parentElement.classList.toggle("large");
    button.setAttribute("aria-expanded", String(large));
  });
}
// Tables can be read without any of this; it adds sorting and filtering.
for (const box of document.querySelectorAll("[data-tools]")) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const output = box.querySelector("output");
  const input = box.querySelector("input");
  box.querySelector(".tools").hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const cells = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => cells.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length}`;
  });
  const headings = [...box.querySelectorAll("thead th")];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const cell = (row) => row.cells[column].textContent.trim();
      const numeric = heading.classList.contains("number");
      const number = (text) => parseFloat(text.replace(/^< /, "").replace("−", "-").replaceAll(",", ""));
      const empty = (text) => text === "" || (numeric && Number.isNaN(number(text)));
      rows.sort((one, other) => {
        const [a, b] = [cell(one), cell(other)];
        if (empty(a) || empty(b)) return empty(a) - empty(b); // what is missing comes last, either way
        const order = numeric ? number(a) - number(b) : a.localeCompare(b, "en", { numeric: true });
        return ascending ? order : -order;
      });
      body.append(...rows);
    });
  });
}
