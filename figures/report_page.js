"use strict"
// The plot's marks, the commands, sorting, copying, the legend and the plot's tips. Without it the
// page still says everything.

const make = (name, text, where) => {
  const made = document.createElement(name)
  made.textContent = text
  if (where) where.append(made)
  return made
}

// A table's numbers as people write them: 7.88, 1/64, 3 of 65,536, 64 with 1 failed; free is any.
const parse = (text) => {
  const share = /^([\d,]+)(?:\/| of )([\d,]+)/.exec(text)
  const plain = (digits) => Number(digits.replaceAll(",", ""))
  if (share) return plain(share[1]) / plain(share[2])
  const number = /^-?[\d.,]+(?:e[-+]\d+)?(?![\w-])/.exec(text)
  return text.startsWith("free") ? Infinity : number ? plain(number[0].replace(/,$/, "")) : NaN
}

// The points of a picture, drawn from the rows of its table; the row keeps its place in ``row``.
const svg = (name, attributes, where) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  if (where) where.append(made)
  return made
}
const mark = (plot, keys, row) => {
  const { left, right, top } = Object.fromEntries(Object.entries(plot.dataset).map(([k, v]) => [k, Number(v)]))
  const across = (rate) => `${(100 * Math.log(Math.min(Math.max(rate, left), right) / left) / Math.log(right / left)).toFixed(2)}%`
  const down = (error) => `${(100 * (1 - Math.min(Math.max(error, 0), top) / top)).toFixed(2)}%`
  const [name, budget, rate, bits, error, interval] = [...row.cells].map((cell) => cell.textContent)
  const key = keys[row.dataset.s]
  const x = across(parse(rate)), y = down(parse(error)), [low, high] = interval.split(" to ").map(Number)
  const link = svg("a", { href: `#${row.id}`, class: key.getAttribute("class").replace("key ", ""),
    "data-s": row.dataset.s, "aria-label": `${name}, budget ${budget}: error ${error} at ${bits} bits a number` }, plot)
  svg("line", { x1: x, x2: x, y1: down(low), y2: down(high) }, link)
  svg("use", { href: key.firstChild.getAttribute("href"), x, y }, link)
  if (parse(rate) < left) svg("text", { class: "off", x, y, dx: 7, dy: ".35em" }, link).textContent = "←"
}
document.documentElement.classList.add("drawn")
for (const section of document.querySelectorAll("section")) {
  const keys = [...section.querySelectorAll(".legend .key")]
  for (const row of section.querySelector(".points").tBodies[0].rows) {
    mark(section.querySelector(".plot"), keys, row)

    // The command of a row, from its code and its way.
    const cell = row.cells[row.cells.length - 1]
    const way = document.getElementById(cell.querySelector("a").getAttribute("href").slice(1)).cells
    const details = document.createElement("details")
    make("summary", "how", details)
    const command = make("p", "", details)
    make("code", way[1].textContent.replace("CELL", cell.querySelector("code").textContent), command).className = "command"
    const how = make("p", "", details)
    how.append(...way[2].cloneNode(true).childNodes)
    for (const wrong of cell.querySelectorAll("small")) make("p", wrong.textContent, details)
    cell.className = "again"
    cell.replaceChildren(details)
  }
}

// A head's button sorts its table; what has no number stays last.
const value = (row, column) => {
  const cell = row.cells[column]
  const text = (cell.dataset.v ?? cell.textContent).trim()
  if (text === "" || text === "–") return null
  const number = cell.tagName === "TH" ? NaN : parse(text)
  return Number.isNaN(number) ? text : number
}
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en")
const sort = (table, head) => {
  const column = Number(head.dataset.c)
  const down = head.getAttribute("aria-sort") === "ascending"
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none")
  head.setAttribute("aria-sort", down ? "descending" : "ascending")
  const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row])
  rows.sort(([a], [b]) =>
    a === null || b === null ? (a === null) - (b === null) : down ? compare(b, a) : compare(a, b))
  table.tBodies[0].append(...rows.map(([, row]) => row))
}
for (const head of document.querySelectorAll("th[data-c]")) {
  const button = make("button", head.textContent)
  button.type = "button"
  head.replaceChildren(button)
  if (!head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", "none")
  button.addEventListener("click", () => sort(head.closest("table"), head))
}

// A command is copied, or selected where a browser does not let a page copy.
for (const code of document.querySelectorAll("code.command")) {
  const button = make("button", "copy")
  button.type = "button"
  button.className = "copy"
  button.setAttribute("aria-label", `copy: ${code.textContent}`)
  const details = code.closest("details")
  details ? details.before(button) : code.after(button)
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent)
      button.textContent = "copied"
    } catch {
      if (details) details.open = true
      getSelection().selectAllChildren(code)
      button.textContent = "selected"
    }
    setTimeout(() => { button.textContent = "copy" }, 1500)
  })
}

// A legend entry shows and hides its series.
for (const figure of document.querySelectorAll("figure")) {
  const points = [...figure.querySelectorAll(".plot a")]
  points.sort((a, b) => a.getBoundingClientRect().left - b.getBoundingClientRect().left)
  const buttons = [...figure.querySelectorAll("button[data-s]")]
  const show = (button, shown) => {
    button.setAttribute("aria-pressed", shown)
    for (const part of figure.querySelectorAll(`.plot [data-s="${button.dataset.s}"]`))
      part.classList.toggle("hidden", !shown)
    const left = points.filter((point) => !point.classList.contains("hidden"))
    if (left.length && !left.some((point) => point.getAttribute("tabindex") === "0"))
      left[0].setAttribute("tabindex", 0)
  }
  for (const button of buttons)
    button.addEventListener("click", () => show(button, button.getAttribute("aria-pressed") !== "true"))
  if (buttons.length > 2) {
    const all = make("button", "all or none", figure.querySelector(".legend"))
    all.type = "button"
    all.addEventListener("click", () => {
      const shown = !buttons.some((button) => button.getAttribute("aria-pressed") === "true")
      for (const button of buttons) show(button, shown)
    })
  }

  // A point says what its row says. Tab reaches one point of a plot, arrows the others.
  const tip = make("div", "", figure)
  tip.className = "tip"
  tip.hidden = true
  const tell = (point) => {
    const row = document.getElementById(point.getAttribute("href").slice(1))
    const heads = [...row.closest("table").tHead.rows[0].cells]
    tip.replaceChildren()
    make("strong", row.cells[0].textContent, tip)
    const list = make("dl", "", tip)
    for (let i = 1; i < row.cells.length - 1; i++) {
      make("dt", heads[i].textContent, list)
      make("dd", (row.cells[i].querySelector("summary") ?? row.cells[i]).textContent, list)
    }
    tip.hidden = false
    const box = figure.getBoundingClientRect()
    const at = point.querySelector("use").getBoundingClientRect()
    const left = Math.min(Math.max(at.right - box.left + 10, 0), box.width - tip.offsetWidth)
    const over = at.right - box.left + 10 > left
    const top = over ? at.bottom - box.top + 12 : at.top - box.top - tip.offsetHeight / 2
    tip.style.left = `${left}px`
    tip.style.top = `${Math.max(top, 0)}px`
  }
  const hush = () => { tip.hidden = true }
  points.forEach((point, index) => {
    point.setAttribute("tabindex", index ? -1 : 0)
    for (const event of ["mouseenter", "focus"]) point.addEventListener(event, () => tell(point))
    for (const event of ["mouseleave", "blur"]) point.addEventListener(event, hush)
    point.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
      if (event.key === "Escape") hush()
      if (!step) return
      event.preventDefault()
      const shown = points.filter((one) => !one.classList.contains("hidden") || one === point)
      const next = shown[(shown.indexOf(point) + step + shown.length) % shown.length]
      point.setAttribute("tabindex", -1)
      next.setAttribute("tabindex", 0)
      next.focus()
    })
  })
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true
})
