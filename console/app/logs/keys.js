// The keyboard of the Logs screen: bound once, so that a list that is painted twenty times a second does not bind anew.
import { useMemo, useRef } from '../html.js';
import { useKeys } from '../keys.js';

/**
 * @typedef {{ move: (by: number) => void, end: (last: boolean) => void, pause: () => void, details: () => void,
 *   trace: () => void, context: () => void, copy: () => void, close: () => void }} Acts
 */

/** @param {Acts} acts what the keys do now; may change with every render */
export function useLineKeys(acts) {
  const held = useRef(acts);
  held.current = acts;
  const bindings = useMemo(() => {
    const now = () => held.current;
    return [
      { keys: 'j', text: 'Next line', act: () => now().move(1) },
      { keys: 'k', text: 'Line before', act: () => now().move(-1) },
      { keys: 'ArrowDown', text: 'Next line', act: () => now().move(1) },
      { keys: 'ArrowUp', text: 'Line before', act: () => now().move(-1) },
      { keys: 'PageDown', text: 'Twenty lines on', act: () => now().move(20) },
      { keys: 'PageUp', text: 'Twenty lines back', act: () => now().move(-20) },
      { keys: 'Home', text: 'First line', act: () => now().end(false) },
      { keys: 'End', text: 'Last line', act: () => now().end(true) },
      { keys: ' ', text: 'Pause, or go on', act: () => now().pause() },
      { keys: 'Enter', text: 'Details of the line', act: () => now().details() },
      { keys: 't', text: 'Trace of the line', act: () => now().trace() },
      { keys: 'c', text: 'Lines around it', act: () => now().context() },
      { keys: 'y', text: 'Copy the line', act: () => now().copy() },
      { keys: 'Escape', text: 'Close the details', act: () => now().close() },
    ];
  }, []);
  useKeys('Logs', bindings);
}
