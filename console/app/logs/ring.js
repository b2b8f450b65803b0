// The lines that the page holds: a ring, bounded by number and by size. What falls out at the top is counted. Pure.

/**
 * @typedef {{ id: string, ts: string, ms: number, brick: string, version: string, instance: string, level: string,
 *   msg: string, trace_id: string, span_id: string, fields: Record<string, unknown> }} Line
 */

/** Lines and letters that one page keeps. */
export const LINES_MAX = 10_000;
export const LETTERS_MAX = 8 * 1024 * 1024;

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];

/** A record as telemetry sends it. @param {any} raw @returns {Line} */
export function lineOf(raw) {
  const level = String(raw?.level ?? 'info').toLowerCase();
  return {
    id: String(raw?.id ?? ''),
    ts: String(raw?.ts ?? ''),
    ms: Date.parse(raw?.ts ?? '') || 0,
    brick: String(raw?.brick ?? ''),
    version: String(raw?.version ?? ''),
    instance: String(raw?.instance ?? ''),
    level: LEVELS.includes(level) ? level : 'info',
    msg: String(raw?.msg ?? ''),
    trace_id: String(raw?.trace_id ?? ''),
    span_id: String(raw?.span_id ?? ''),
    fields: raw?.fields ?? {},
  };
}

/** @param {Line} line */
function lettersOf(line) {
  let sum = line.msg.length + 160;
  for (const key in line.fields) {
    const value = line.fields[key];
    sum += key.length + (typeof value === 'string' ? value.length : 24);
  }
  return sum;
}

/** First in, first out; also grows at the top, for what is older. */
export class Ring {
  /** @type {(Line | null)[]} */ #lines = [];
  #head = 0;
  #letters = 0;
  #max;
  /** Lines that fell out at the top. */
  lost = 0;

  constructor(max = LINES_MAX) {
    this.#max = max;
  }

  get length() {
    return this.#lines.length - this.#head;
  }

  /** Whether nothing more can be put in front. */
  get full() {
    return this.length >= this.#max || this.#letters >= LETTERS_MAX;
  }

  /** @param {number} i from the top @returns {Line | null} */
  at(i) {
    return i < 0 ? null : (this.#lines[this.#head + i] ?? null);
  }

  /** @param {Line} line */
  push(line) {
    this.#lines.push(line);
    this.#letters += lettersOf(line);
    while (this.length > this.#max || (this.#letters > LETTERS_MAX && this.length > 1)) this.#shift();
    if (this.#head > 4096 && this.#head > this.#lines.length / 2) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
  }

  #shift() {
    const line = this.#lines[this.#head];
    if (line) this.#letters -= lettersOf(line);
    this.#lines[this.#head] = null;
    this.#head += 1;
    this.lost += 1;
  }

  /** Puts older lines in front, in order, the newest of them while there is room. @param {Line[]} lines @returns {number} how many */
  unshift(lines) {
    const room = Math.max(0, this.#max - this.length);
    const fitting = room > 0 ? lines.slice(-room) : [];
    this.#lines = [...fitting, ...this.#lines.slice(this.#head)];
    this.#head = 0;
    for (const line of fitting) this.#letters += lettersOf(line);
    return fitting.length;
  }

  /** Where a line is, -1 where it is not. @param {string} id */
  find(id) {
    if (!id) return -1;
    for (let i = this.#lines.length - 1; i >= this.#head; i -= 1) if (this.#lines[i]?.id === id) return i - this.#head;
    return -1;
  }

  /** Where this very line is, -1 where it is not any more. @param {Line | null} line */
  indexOf(line) {
    const at = line ? this.#lines.indexOf(line, this.#head) : -1;
    return at < 0 ? -1 : at - this.#head;
  }

  /** Ids of the newest lines. @param {number} most */
  ids(most) {
    const ids = new Set();
    for (let i = Math.max(0, this.length - most); i < this.length; i += 1) ids.add(this.at(i)?.id);
    ids.delete('');
    return ids;
  }

  /** Takes all lines of another ring, which is empty afterwards. @param {Ring} other */
  take(other) {
    for (let i = 0; i < other.length; i += 1) {
      const line = other.at(i);
      if (line) this.push(line);
    }
    this.lost += other.lost;
    other.clear();
  }

  clear() {
    this.#lines = [];
    this.#head = 0;
    this.#letters = 0;
    this.lost = 0;
  }
}
