// The lines of one search: a page of what was, then what comes, live. Everything that arrives is kept at once; the page
// is told at most every `PAINT_MS`, with the next frame. While the view is held, what comes waits and is counted.
import { get } from '../api.js';
import { signal } from '../html.js';
import { PAGE, isOpen, pageUrl, tailUrl } from './query.js';
import { Ring, lineOf } from './ring.js';

/**
 * @typedef {import('./ring.js').Line} Line
 * @typedef {{ state: 'loading' | 'live' | 'again' | 'history', waiting: number, passed: number, dropped: number,
 *   perSecond: number, failure: string, older: 'more' | 'loading' | 'none' | 'full', loaded: boolean }} Status
 */

/** Time between two paintings: faster than this nobody reads, and frames stay free for scrolling. */
const PAINT_MS = 48;
/** Lines that wait while the first page is on its way. */
const EARLY_MAX = 5_000;
const BACKOFF_MS = [500, 1000, 2500, 5000];

export class Feed {
  lines = new Ring();
  #waiting = new Ring();
  /** Grows with every painting. */
  painted = signal(0);
  /** How it stands; `status` shows it with the next painting. @type {Status} */
  #now = { state: 'loading', waiting: 0, passed: 0, dropped: 0, perSecond: 0, failure: '', older: 'none', loaded: false };
  status = signal(this.#now);
  /** Lines put in front since the start; the list moves with them. */
  prepended = 0;
  #asked;
  #held;
  /** @type {Line[] | null} */
  #early = [];
  #stop = new AbortController();
  /** @type {EventSource | null} */
  #source = null;
  #attempts = 0;
  #timer = 0;
  #frame = 0;
  #last = 0;
  #cursor = '';
  #arrived = 0;
  #measured = performance.now();

  /** @param {URLSearchParams} asked @param {boolean} held */
  constructor(asked, held) {
    this.#asked = new URLSearchParams(asked);
    this.#held = held;
  }

  start() {
    if (isOpen(this.#asked)) this.#listen();
    else void this.#fill();
    const every = setInterval(() => this.#measure(), 1000);
    this.#stop.signal.addEventListener('abort', () => clearInterval(every));
  }

  stop() {
    this.#stop.abort();
    this.#source?.close();
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    // An animation frame never comes to a hidden tab; a painting that waits must not outlive the screen.
    this.#frame = -1;
  }

  /** Stops the view, or lets it go on with what has waited. @param {boolean} held */
  hold(held) {
    if (held === this.#held) return;
    this.#held = held;
    if (!held) {
      const passed = this.#waiting.lost;
      this.lines.take(this.#waiting);
      this.#tell({ waiting: 0, passed: this.#now.passed + passed });
    }
    this.#paint();
  }

  /** One page of what is older. */
  async older() {
    if (this.#now.older !== 'more' || !this.#held) return;
    if (this.lines.full) {
      this.#tell({ older: 'full' });
      return;
    }
    this.#tell({ older: 'loading' });
    try {
      // The cursor follows the oldest line; where lines have fallen out at the top it no longer does, and time does.
      // `until` is the first moment that is out: one more, and what is known is left out by its id.
      const more = this.#cursor ? { cursor: this.#cursor } : { until: new Date((this.lines.at(0)?.ms ?? 0) + 1).toISOString() };
      const page = await get(pageUrl(this.#asked, more), this.#stop.signal);
      const known = this.#cursor ? new Set() : this.#top();
      const lines = read(page).filter((line) => !line.id || !known.has(line.id));
      this.prepended += this.lines.unshift(lines);
      this.#cursor = page.next ?? '';
      this.#tell({ older: this.lines.full ? 'full' : page.next && lines.length ? 'more' : 'none', failure: '' });
      this.#paint();
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tell({ older: 'more', failure: /** @type {Error} */ (error).message });
    }
  }

  #top() {
    const known = new Set();
    for (let i = 0; i < Math.min(this.lines.length, PAGE); i += 1) known.add(this.lines.at(i)?.id);
    return known;
  }

  #listen() {
    const source = new EventSource(tailUrl(this.#asked));
    this.#source = source;
    source.onopen = () => {
      this.#attempts = 0;
      void this.#fill();
    };
    source.addEventListener('log', (event) => this.#take([JSON.parse(event.data)]));
    source.addEventListener('logs', (event) => this.#take(JSON.parse(event.data)));
    source.addEventListener('dropped', (event) => {
      this.#tell({ dropped: this.#now.dropped + (Number(JSON.parse(event.data).dropped) || 0) });
    });
    // The browser's own retry tells neither why nor when; ours does.
    source.onerror = () => this.#again();
  }

  #again() {
    this.#source?.close();
    this.#early = [];
    if (!this.#now.loaded) void this.#fill();
    this.#tell({ state: 'again' });
    const wait = BACKOFF_MS[Math.min(this.#attempts, BACKOFF_MS.length - 1)];
    this.#attempts += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#listen(), wait);
  }

  /** The newest page: at the start all of it, after a lost line what is not there yet. */
  async #fill() {
    const signal = this.#stop.signal;
    try {
      const page = await get(pageUrl(this.#asked), signal);
      if (signal.aborted) return;
      const first = !this.#now.loaded;
      const known = new Set([...this.lines.ids(PAGE * 2), ...this.#waiting.ids(PAGE * 2)]);
      const fresh = read(page).filter((line) => !known.has(line.id));
      const news = new Set(fresh.map((line) => line.id));
      for (const line of fresh) this.#put(line, first);
      for (const line of this.#early ?? []) if (!line.id || (!news.has(line.id) && !known.has(line.id))) this.#put(line, first);
      this.#early = null;
      if (first) this.#cursor = page.next ?? '';
      const open = isOpen(this.#asked);
      const listening = this.#source?.readyState === EventSource.OPEN;
      this.#tell({
        state: !open ? 'history' : listening ? 'live' : 'again', failure: '', loaded: true,
        ...(first && { older: page.next ? 'more' : 'none' }),
      });
    } catch (error) {
      if (signal.aborted) return;
      for (const line of this.#early ?? []) this.#put(line, false);
      this.#early = null;
      const live = isOpen(this.#asked) && this.#source?.readyState === EventSource.OPEN;
      this.#tell({ failure: /** @type {Error} */ (error).message, loaded: true, state: live ? 'live' : isOpen(this.#asked) ? 'again' : 'history' });
    }
    this.#paint();
  }

  /** @param {any[]} raw */
  #take(raw) {
    this.#arrived += raw.length;
    for (const one of raw) {
      const line = lineOf(one);
      if (this.#early) {
        if (this.#early.length < EARLY_MAX) this.#early.push(line);
      } else this.#put(line, false);
    }
    this.#paint();
  }

  /** @param {Line} line @param {boolean} shown even while the view is held: it is what the view begins with */
  #put(line, shown) {
    if (this.#held && !shown) {
      this.#waiting.push(line);
      this.#now.waiting += 1;
      return;
    }
    const lost = this.lines.lost;
    this.lines.push(line);
    if (this.lines.lost > lost && this.#cursor) {
      this.#cursor = '';
      this.#now.older = 'more';
    }
  }

  #measure() {
    const now = performance.now();
    const perSecond = Math.round((this.#arrived * 1000) / (now - this.#measured));
    this.#measured = now;
    this.#arrived = 0;
    if (perSecond !== this.#now.perSecond) this.#tell({ perSecond });
  }

  /** @param {Partial<Status>} news */
  #tell(news) {
    Object.assign(this.#now, news);
    this.#paint();
  }

  #paint() {
    if (this.#frame) return;
    const paint = (/** @type {number} */ now) => {
      if (now - this.#last < PAINT_MS) {
        this.#frame = requestAnimationFrame(paint);
        return;
      }
      this.#last = now;
      this.#frame = 0;
      this.status.value = { ...this.#now };
      this.painted.value += 1;
    };
    this.#frame = requestAnimationFrame(paint);
  }
}

/** A page, oldest line first. @param {any} page @returns {Line[]} */
function read(page) {
  return (Array.isArray(page?.items) ? page.items : []).map(lineOf).reverse();
}
