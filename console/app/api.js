// Plain requests to the APIs on this origin. An error is always a `Problem`, whatever the answer held.

/** An answer that says no (RFC 9457), or no answer at all. */
export class Problem extends Error {
  /**
   * @param {number} status 0 where nobody answered
   * @param {string} code
   * @param {string} detail
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(url, signal) {
  return (await ask(url, { signal })).json();
}

/**
 * The answer itself, for who reads it as it comes.
 * @param {string} url
 * @returns {Promise<Response>}
 */
export function getAnswer(url) {
  return ask(url, {});
}

/**
 * Posts JSON: what changes something.
 * @param {string} url
 * @param {unknown} body
 * @returns {Promise<any>}
 */
export async function post(url, body) {
  const answer = await ask(url, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  return answer.json();
}

/**
 * Puts JSON in the place of what is there, or takes it away where there is none to put; only where it still has this
 * entity tag (412 otherwise).
 * @param {string} url
 * @param {unknown} body
 * @param {string} tag
 */
export async function change(url, body, tag) {
  const condition = { 'if-match': tag };
  if (body) await ask(url, { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...condition } });
  else await ask(url, { method: 'DELETE', headers: condition });
}

/** @param {string} url @param {RequestInit & { signal?: AbortSignal }} init */
async function ask(url, init) {
  const headers = { accept: 'application/json', ...init.headers };
  let response;
  try {
    response = await fetch(url, { ...init, headers, credentials: 'same-origin' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, 'unreachable', 'Brickwork does not answer. Is `brick up` still running?');
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const detail = told.detail || told.title || `the answer was ${response.status} ${response.statusText}`;
  throw new Problem(response.status, told.code || 'unknown', detail);
}
