// Text that others wrote, made harmless to read: control characters are shown as their pictures, characters that turn the
// direction of writing (and could make a line say something else than it holds) as their code. Pure.

const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const ANY = new RegExp(HIDDEN.source);

/** @param {string} text */
export function visible(text) {
  return ANY.test(text) ? text.replace(HIDDEN, picture) : text;
}

/** @param {string} letter */
function picture(letter) {
  const code = letter.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
}
