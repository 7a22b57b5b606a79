const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** Return a number of bytes for people, such as `1.2 MB`. */
export function readableSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** Return a time of the day for people, such as `14:05:09`. */
export function clock(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString();
}
