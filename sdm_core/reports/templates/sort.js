(() => {
  const table = document.getElementById("all-species");
  if (!table) return;
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = head.innerHTML;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" ? 1 : head.hasAttribute("aria-sort") ? -1 : head.classList.contains("num") ? -1 : 1;
      table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up === 1 ? "ascending" : "descending");
      const value = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const numeric = head.classList.contains("num");
      [...body.rows].sort((a, b) => up * (numeric ? value(a) - value(b) : value(a).localeCompare(value(b)))).forEach(row => body.append(row));
    });
  });
  const find = document.getElementById("find"), found = document.getElementById("found");
  find.addEventListener("input", () => {
    const word = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of body.rows) { row.hidden = !row.textContent.toLowerCase().includes(word); shown += !row.hidden; }
    found.textContent = word ? shown + " of " + body.rows.length : "";
  });
})();
