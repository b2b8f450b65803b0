// A journal: what a brick keeps, one JSON line for each change, appended and synced to the disk before it counts.
//
// It stands where DATABASE_URL says, with `.jsonl` behind it. Node 18 and 20 have no SQL of their own; a brick that
// outgrows a journal takes a database driver and the same variable.
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

export class Journal {
  /** Reads what is there through `apply`, then appends. A last line that a crash cut off never counted, and goes. */
  constructor(apply, url = process.env.DATABASE_URL) {
    this.apply = apply;
    if (!url) return;
    this.file = openSync(`${url.replace(/^sqlite:/, '')}.jsonl`, 'a+');
    const bytes = readFileSync(this.file);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    ftruncateSync(this.file, whole);
    for (const line of bytes.subarray(0, whole).toString().split('\n').filter(Boolean)) apply(JSON.parse(line));
  }

  /** Writes a change down, then makes it: all of it, or none. */
  write(change) {
    if (this.file !== undefined) {
      writeSync(this.file, `${JSON.stringify(change)}\n`);
      fsyncSync(this.file);
    }
    this.apply(change);
  }

  /** Closes the file. */
  close() {
    if (this.file !== undefined) closeSync(this.file);
  }
}
