import type { ReadonlyJSONObject } from '@lumino/coreutils';

/** Return the description of a command's arguments, all texts: what each is, by its name. */
export function describing(texts: Record<string, string> = {}): { args: ReadonlyJSONObject } {
  const properties = Object.fromEntries(
    Object.entries(texts).map(([name, description]) => [name, { type: 'string', description }])
  );
  return { args: { type: 'object', properties } };
}
