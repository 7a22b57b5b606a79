/** The origin of an inserted cell: the cell with the form, and the fingerprint of the text at that time. */
export interface IOrigin {
  from: string;
  text: string;
}

/** A cell as the order of insertions sees it. */
export interface IPlaced {
  id: string;
  origin?: Partial<IOrigin>;
}

/** Return a short fingerprint of a text (FNV-1a). */
export function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

/**
 * Decide where new cells go, and which of them are there already.
 *
 * Cells from one form follow each other in the order of their insertion. A text that this form has inserted before is
 * not inserted again, also when somebody has edited it since.
 *
 * @param cells - all cells of the notebook
 * @param index - the cell with the form
 * @param sources - the texts of the new cells
 * @returns the place of the first new cell, the texts that are missing, and the place of the last text that is there
 */
export function placed(
  cells: readonly IPlaced[],
  index: number,
  sources: readonly string[]
): { at: number; missing: string[]; last: number } {
  const own = cells.map(cell => cell.origin?.from === cells[index]?.id);
  const at = Math.max(index, own.lastIndexOf(true)) + 1;
  const find = (source: string) =>
    cells.findIndex((cell, place) => own[place] && cell.origin?.text === fingerprint(source));
  const missing = sources.filter(source => find(source) < 0);
  return { at, missing, last: find(sources[sources.length - 1] ?? '') };
}
