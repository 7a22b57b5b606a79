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
 * @param index - the cell with the form, or for a form outside of the notebook the active cell
 * @param sources - the texts of the new cells
 * @param from - the id of the form: by default that of the cell at `index`
 * @returns the place of the first new cell, the texts that are missing, and the place of the last text that is there
 */
export function placed(
  cells: readonly IPlaced[],
  index: number,
  sources: readonly string[],
  from = cells[index].id
): { at: number; missing: string[]; last: number } {
  const own = cells.map(cell => cell.origin !== undefined && cell.origin.from === from);
  const at = Math.max(index, own.lastIndexOf(true)) + 1;
  const find = (source: string) =>
    cells.findIndex((cell, place) => own[place] && cell.origin?.text === fingerprint(source));
  const missing = sources.filter(source => find(source) < 0);
  return { at, missing, last: find(sources[sources.length - 1] ?? '') };
}

const LOADED = /^%(?:load|reload)_ext mljupyter\b/m;
const CHOSEN = /^%mlj workspace (\S+)/gm;

/**
 * Return a line of a magic as a cell that does the same in any notebook: with the extension, and in the same workspace.
 *
 * @param source - the code; what is no line of a magic stays as it is
 * @param workspace - the workspace that the code is for; empty for the default one
 * @param before - the texts of the cells above
 */
export function selfContained(
  source: string,
  workspace: string,
  before: readonly string[]
): string {
  if (!/^%[a-z]/.test(source)) {
    return source;
  }
  const text = before.join('\n');
  const chosen = [...text.matchAll(CHOSEN)].at(-1)?.[1];
  const lines = [
    LOADED.test(text) ? '' : '%load_ext mljupyter',
    chosen === workspace || workspace === '' ? '' : `%mlj workspace ${workspace}`,
    source
  ];
  return lines.filter(Boolean).join('\n');
}
