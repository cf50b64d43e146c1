// Reads a CSV file of grants. Each line contains a user, an amount and, optionally, a reason.

const HEADS = /^(user|username|name|account|e-?mail( address)?|(user[ _]?)?id)$/i;
const AMOUNT = /^[+-]?\d{1,13}$/;
const REASON = 200;

/** The maximum number of mistakes that a message lists. */
const NAMED = 5;

/**
 * Returns the grants in a file, each `{line, user, amount, reason}`, and the file's mistakes, as
 * sentences. Skips empty lines, and a first line with column names.
 */
export function grantsOf(text) {
  const rows = rowsOf(text.replace(/^\ufeff/, ""));
  if (HEADS.test(rows[0]?.cells[0] ?? "")) rows.shift();
  const wrong = [];
  const grants = rows.map(({ line, cells: [user = "", number = "", reason = ""] }) => {
    const digits = number.replace("−", "-");
    const amount = AMOUNT.test(digits) ? Number(digits) : 0;
    if (!user) wrong.push(`Line ${line} has no user.`);
    if (!amount) wrong.push(`Line ${line} needs a whole number other than 0 as its amount.`);
    if (reason.length > REASON)
      wrong.push(`Line ${line} has a reason longer than ${REASON} characters.`);
    return { line, user, amount, ...(reason && { reason }) };
  });
  const more = wrong.length - NAMED;
  if (more > 0) wrong.splice(NAMED, more, `And ${more} more.`);
  return { grants, wrong };
}

/** The nonempty lines, with their numbers and cells. */
function rowsOf(text) {
  const separator = separatorOf(text.split("\n", 1)[0]);
  const rows = [];
  let line = 1;
  let row = { line, cells: [""] };
  let quoted = false;
  const add = (letter) => (row.cells[row.cells.length - 1] += letter);
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === "\n") line += 1;
    if (quoted && letter === '"' && text[at + 1] === '"') {
      add('"');
      at += 1;
    } else if (quoted && letter === '"') quoted = false;
    else if (quoted) add(letter);
    else if (letter === '"' && row.cells.at(-1) === "") quoted = true;
    else if (letter === separator) row.cells.push("");
    else if (letter === "\n") {
      rows.push(row);
      row = { line, cells: [""] };
    } else add(letter);
  }
  rows.push(row);
  return rows
    .map(({ line, cells }) => ({ line, cells: cells.map((cell) => cell.trim()) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ""));
}

/** The file's separator. Spreadsheets separate cells with a comma, a semicolon or a tab. */
function separatorOf(line) {
  const count = (separator) => line.split(separator).length;
  return [",", ";", "\t"].toSorted((one, other) => count(other) - count(one))[0];
}
