"use strict";
(() => {
  const table = document.getElementById("files"), body = table && table.tBodies[0];
  if (!body) return;
  const rows = [...body.rows].map((row) => {
    const named = [...row.cells[1].querySelectorAll("b")];
    return {
      row,
      text: row.textContent.toLowerCase(),
      state: row.dataset.state,
      genres: (named.length ? named : [row.cells[1]]).map((name) => name.textContent),
    };
  });
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const value = (row, column, kind) => {
    const text = row.cells[column].textContent;
    if (kind === "text") return text;
    return text ? text.split(":").reduce((sum, part) => sum * 60 + parseFloat(part), 0) : null;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const kind = head.dataset.kind;
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : kind !== "text";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const entry of rows) entry.key = value(entry.row, column, kind);
      const order = (a, b) => kind === "text" ? compare(a, b) : a - b;
      const none = (key) => key === null || key === "";
      rows.sort((a, b) => none(a.key) - none(b.key) || (down ? order(b.key, a.key) : order(a.key, b.key)));
      filter();
    });
  });
  const [tools, words, genre, state, shown, more] =
    ["tools", "words", "genre", "state", "shown", "more"].map((id) => document.getElementById(id));
  const step = 500; // rows in the page at first: more would make every sort slow
  let timer = 0, limit = step;
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const listed = document.createDocumentFragment();
    for (const { row, text, state: answer, genres } of rows) {
      const fits = (!state.value || answer === state.value) && (!genre.value || genres.includes(genre.value))
        && wanted.every((word) => text.includes(word));
      count += fits;
      if (fits && count <= limit) listed.append(row);
    }
    body.replaceChildren(listed);
    more.hidden = count <= limit;
    shown.textContent = `${count} of ${rows.length} rows` + (count > limit ? `, the first ${limit} shown` : "");
  };
  const filterAnew = () => { limit = step; filter(); };
  words.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filterAnew, 150); });
  for (const choice of [genre, state]) choice.addEventListener("change", filterAnew);
  more.addEventListener("click", () => { limit += step; filter(); });
  addEventListener("beforeprint", () => { limit = Infinity; filter(); });
  addEventListener("afterprint", filterAnew);
  for (const name of [...new Set(rows.flatMap((entry) => entry.genres))].filter(Boolean).sort(compare)) {
    genre.append(new Option(name, name));
  }
  const whole = document.getElementById("whole");
  const shorten = () => table.classList.toggle("short", !whole.checked); // without this script, lists are whole
  whole.addEventListener("change", shorten);
  body.addEventListener("pointerover", ({ target }) => {
    if (target.scrollHeight > target.clientHeight && target.matches(".set div")) target.title = target.textContent;
  });
  shorten();
  tools.hidden = false;
  filter();
})();
