// Fetches a trace, reads it and lays it out away from the page: eighty thousand spans are tens of megabytes of text. Of a
// text that takes long to read the beginning is shown first. The spans themselves stay here; the page asks for the one
// whose details it shows.
import { getAnswer } from '../api.js';
import { LONG, beginning } from './beginning.js';
import { pack, traceOf } from './model.js';

/**
 * @typedef {{ kind: 'load', url: string } | { kind: 'span', asked: number, at: number }} Question
 * @typedef {{ kind: 'trace', trace: ReturnType<typeof pack>['message'], took: number, dataAt: number, partly: boolean } | { kind: 'same', took: number }
 *   | { kind: 'problem', status: number, detail: string } | { kind: 'span', asked: number, span: import('./model.js').Span | null }} Answer
 */

/** @type {import('./model.js').Span[]} */
let spans = [];
let known = '';

addEventListener('message', (event) => {
  const question = /** @type {Question} */ (event.data);
  if (question.kind === 'span') postMessage({ kind: 'span', asked: question.asked, span: spans[question.at] ?? null });
  else void load(question.url);
});

/** @param {string} url */
async function load(url) {
  const started = performance.now();
  try {
    const first = known ? null : (/** @type {string} */ text) => {
      const begun = beginning(text);
      if (begun) tell(traceOf(begun), started, Infinity, true);
    };
    const text = await read(await getAnswer(url), first);
    const dataAt = performance.timeOrigin + performance.now();
    const raw = JSON.parse(text);
    const mark = `${url} ${raw.spans?.length} ${raw.logs?.length}`;
    if (mark === known) {
      postMessage({ kind: 'same', took: performance.now() - started });
      return;
    }
    known = mark;
    tell(traceOf(raw), started, dataAt, false);
  } catch (error) {
    const { status = 0, message } = /** @type {import('../api.js').Problem} */ (error);
    postMessage({ kind: 'problem', status, detail: message });
  }
}

/** The text of an answer; where it is long, its beginning is told before the rest is here. @param {Response} answer @param {((text: string) => void) | null} first */
async function read(answer, first) {
  if (!answer.body) return answer.text();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const pieces = [];
  let letters = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    pieces.push(part.value);
    letters += part.value.length;
    if (!first || letters < LONG) continue;
    first(pieces.join(''));
    first = null;
  }
  return pieces.join('');
}

/** @param {import('./model.js').Built} built @param {number} started @param {number} dataAt @param {boolean} partly */
function tell(built, started, dataAt, partly) {
  spans = built.spans;
  const { message, transfer } = pack(built);
  const answer = { kind: 'trace', trace: message, took: performance.now() - started, dataAt, partly };
  /** @type {any} */ (globalThis).postMessage(answer, transfer);
}
