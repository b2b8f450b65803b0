// What the heat map says about how long the slowest traces take.

/**
 * From which duration on there are so many. Pure.
 * @param {{ bounds_ms: number[], cells: [number, number][][] }} map
 * @param {number} wanted
 * @returns {{ min: number, count: number, all: number }} `count` are at least so long, of `all`
 */
export function floorOf({ bounds_ms, cells }, wanted) {
  const rows = [...bounds_ms, Infinity].map((_, y) => cells.reduce((sum, column) => sum + (column[y]?.[0] ?? 0), 0));
  const all = rows.reduce((sum, row) => sum + row, 0);
  let [y, count] = [rows.length, 0];
  while (y > 0 && count < wanted) {
    y -= 1;
    count += rows[y];
  }
  return { min: y > 0 ? bounds_ms[y - 1] : 0, count, all };
}
