// Addresses with their parameters. Pure.

/** @typedef {Record<string, string | number | boolean | null | undefined>} Changes */

/**
 * Address of a screen; empty parameters are left out.
 * @param {string} to
 * @param {Changes} [with_]
 */
export function address(to, with_ = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(with_)) {
    if (holds(value)) search.set(key, String(value));
  }
  return search.size ? `${to}?${search}` : to;
}

/** Whether a parameter says something. @param {string | number | boolean | null | undefined} value */
export function holds(value) {
  return value !== null && value !== undefined && value !== '' && value !== false;
}
