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
 * Changes something, and says why where that was said; the audit trail keeps it.
 * @param {'POST' | 'PUT' | 'PATCH' | 'DELETE'} method
 * @param {string} url
 * @param {unknown} [body] as JSON
 * @param {{ why?: string, tag?: string }} [how] `tag`: only where it still has this entity tag (412 otherwise)
 * @returns {Promise<any>}
 */
export async function send(method, url, body, { why = '', tag = '' } = {}) {
  const answer = await ask(url, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(tag && { 'if-match': tag }), ...(why.trim() && { 'x-brick-why': octets(why.trim()) }) },
  });
  return answer.status === 204 ? null : answer.json();
}

/** The octets of a text in UTF-8, as a field of a request takes them. @param {string} text */
function octets(text) {
  return String.fromCharCode(...new TextEncoder().encode(text.replace(/[\u0000-\u001f\u007f]+/g, ' ')));
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
