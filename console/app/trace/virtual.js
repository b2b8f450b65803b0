// Only the rows that can be seen are in the document, however many there are.
import { useLayoutEffect, useState } from '../html.js';

/** Rows beyond both edges, so that fast scrolling shows no holes. */
const MARGIN = 12;

/**
 * @param {{ current: HTMLElement | null }} frame the element that scrolls
 * @param {number} count
 * @param {number} height of a row, in pixels
 * @param {{ margin?: number, asked?: boolean }} [how] rows beyond both edges; whether the range is asked for now: where that begins,
 *   it is measured before the next frame
 * @returns {[number, number]} first row, and the one after the last
 */
export function useVisible(frame, count, height, { margin = MARGIN, asked = true } = {}) {
  // Until it is measured: no frame is taller than the window.
  const [range, setRange] = useState(() => /** @type {[number, number]} */ ([0, Math.ceil(innerHeight / height) + margin]));
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element || !asked) return undefined;
    let scheduled = 0;
    const measure = () => {
      scheduled = 0;
      const first = Math.max(0, Math.floor(element.scrollTop / height) - margin);
      const last = Math.ceil((element.scrollTop + element.clientHeight) / height) + margin;
      setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]));
    };
    const schedule = () => {
      if (!scheduled) scheduled = requestAnimationFrame(measure);
    };
    measure();
    const observer = new ResizeObserver(schedule);
    observer.observe(element);
    element.addEventListener('scroll', schedule, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', schedule);
      if (scheduled) cancelAnimationFrame(scheduled);
    };
  }, [height, margin, asked]);
  return [Math.min(range[0], Math.max(0, count - 1)), Math.min(range[1], count)];
}

/**
 * Scrolls a row into view, no further than needed.
 * @param {HTMLElement | null} element
 * @param {number} row
 * @param {number} height of a row
 * @param {number} [head] height of what sticks to the top above the rows
 */
export function reveal(element, row, height, head = 0) {
  if (!element || row < 0) return;
  const [top, bottom] = [row * height, (row + 1) * height + head];
  if (top < element.scrollTop) element.scrollTop = top;
  else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight;
}
