// What a person takes along; browsers may refuse, and then say nothing themselves.

/**
 * Copies the text and answers what to tell the one who asked.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return 'Copied';
  } catch {
    return 'The browser does not allow it';
  }
}
