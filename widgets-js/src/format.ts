/** Numbers and times as people read them. */

/** Return a number with three digits and its unit; a dash where there is none. A second or more is not in milliseconds. */
export function shown(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined) {
    return "–";
  }
  if (unit === "ms" && value >= 1000) {
    return `${shown(value / 1000)} s`;
  }
  const digits = Number.isInteger(value) || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${unit && ` ${unit}`}`;
}

/** Return the time of day, from seconds since the epoch. */
export function clock(seconds: number, withSeconds = true): string {
  return new Date(seconds * 1000).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: withSeconds ? "2-digit" : undefined,
    hour12: false,
  });
}

/** Return day and time, from seconds since the epoch, as in 2026-11-30 16:05:09; the same in every language. */
export function day(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(seconds)}`;
}

/** Return a duration in the unit that fits, from seconds. */
export function duration(seconds: number): string {
  if (seconds < 90) {
    return `${Math.round(seconds)} s`;
  }
  if (seconds < 5400) {
    return `${Math.round(seconds / 60)} min`;
  }
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/**
 * Return the end of an axis from 0: above the highest value and the levels that values are compared with.
 *
 * A level of more than four times the highest value is left out: it would press all lines to the ground.
 */
export function axisEnd(most: number, levels: readonly number[]): number {
  return roundUp(Math.max(most, ...levels.filter((level) => most <= 0 || level <= 4 * most)));
}

/** Return the least number that is not below a value, and that has, as its half has, one or two digits and zeros. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return (
    [1, 1.4, 2, 3, 4, 5, 6, 8, 10]
      .map((factor) => +(factor * power).toPrecision(2))
      .find((candidate) => candidate >= value) ?? value
  );
}
