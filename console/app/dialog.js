// A modal dialog: the browser's own, so focus stays inside, Escape closes it, and focus goes back where it was.
import { html, useLayoutEffect, useRef } from './html.js';

/** @param {{ label: string, className?: string, onClose: () => void, children?: import('./html.js').Children }} props */
export function Dialog({ label, className = '', onClose, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  /** @param {MouseEvent} event */
  const outside = (event) => {
    if (event.target === element.current) onClose();
  };
  /** @param {Event} event */
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${element} class=${`dialog ${className}`} aria-label=${label} onCancel=${cancel} onMouseDown=${outside}>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}
