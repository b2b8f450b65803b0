// Numbers and times as people read them. Everything here is pure.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** Three significant digits, no trailing zeros. @param {number} value */
function digits(value) {
  return String(Number(value.toPrecision(3)));
}

/** @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
  const size = Math.abs(ms);
  if (size === 0) return '0 ms';
  if (size < 0.0009995) return `${Math.round(ms * 1e6)} ns`;
  if (size < 0.9995) return `${digits(ms * 1000)} µs`;
  if (size < 999.5) return `${digits(ms)} ms`;
  if (size < 59_950) return `${digits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (size < 3_600_000) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
}

/** Requests per second. @param {number | null | undefined} value */
export function rate(value) {
  if (!value || !Number.isFinite(value)) return '0/s';
  if (value < 0.01) return '<0.01/s';
  if (value < 1) return `${Number(value.toFixed(2))}/s`;
  return `${value < 1000 ? digits(value) : short.format(value)}/s`;
}

/** A share between 0 and 1. @param {number | null | undefined} share */
export function percent(share) {
  if (!share) return '0 %';
  const value = share * 100;
  if (value < 0.01) return '<0.01 %';
  return `${value < 10 ? Number(value.toPrecision(2)) : Math.round(value)} %`;
}

/** @param {number} value */
export function count(value) {
  return whole.format(value);
}

/** A number of any size in little room. @param {number} value */
export function compact(value) {
  if (!Number.isFinite(value)) return '–';
  if (value !== 0 && Math.abs(value) < 10) return digits(value);
  return Math.abs(value) < 1_000_000 ? whole.format(value) : short.format(value);
}

/** @param {number} bytes */
export function bytes(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const steps = ['KiB', 'MiB', 'GiB', 'TiB'];
  let [value, step] = [bytes / 1024, 0];
  while (value >= 1024 && step < steps.length - 1) [value, step] = [value / 1024, step + 1];
  return `${digits(value)} ${steps[step]}`;
}

/** Wall clock with milliseconds. @param {number} ms since the epoch */
export function time(ms) {
  const rest = String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, '0');
  return `${clock.format(ms)}.${rest}`;
}

/** Date and wall clock. @param {number} ms since the epoch */
export function dateTime(ms) {
  return `${day.format(ms)} ${time(ms)}`;
}

/** How long ago, in words. @param {number} ms @param {number} [now] */
export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 2) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** One or many. @param {number} n @param {string} one @param {string} [many] */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** An age, in its two largest units. @param {number} ms */
export function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}
