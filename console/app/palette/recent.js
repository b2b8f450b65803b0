// What was taken from the palette last. It belongs to the person at this browser.

const STORED = 'brickwork.palette';
const IDS_MAX = 12;

/** Ids, the last used first. @returns {string[]} */
export function recent() {
  try {
    const held = JSON.parse(localStorage.getItem(STORED) ?? '[]');
    return Array.isArray(held) ? held.filter((id) => typeof id === 'string').slice(0, IDS_MAX) : [];
  } catch {
    return [];
  }
}

/** @param {string} id */
export function remember(id) {
  try {
    localStorage.setItem(STORED, JSON.stringify([id, ...recent().filter((one) => one !== id)].slice(0, IDS_MAX)));
  } catch {
    // Storage may be blocked or full; the palette then has no memory.
  }
}
