import type { IEndpoint, IEndpointsMessage, IModel } from './documents';

const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 30;

/** Return the pause in seconds before a connection is tried again. */
export function pauseAfter(failures: number): number {
  return Math.min(FIRST_PAUSE * 2 ** Math.max(failures - 1, 0), LONGEST_PAUSE);
}

/** Return the rows after a message: all of them, or the rows before with those that have changed. */
export function updated(
  before: ReadonlyMap<string, IEndpoint>,
  message: IEndpointsMessage
): Map<string, IEndpoint> {
  const rows = message.whole ? new Map<string, IEndpoint>() : new Map(before);
  for (const row of message.rows) {
    rows.set(row.name, row);
  }
  for (const name of message.removed ?? []) {
    rows.delete(name);
  }
  return rows;
}

const SERIOUS = ['Failed', 'Unhealthy', 'Unschedulable', 'Transitioning', 'Deleting', 'Healthy'];

/** Return the worst state of some endpoints; empty without endpoints. */
export function worstState(rows: Iterable<IEndpoint>): string {
  let worst = SERIOUS.length;
  for (const { state } of rows) {
    const at = SERIOUS.indexOf(state);
    worst = Math.min(worst, at < 0 ? 0 : at);
  }
  return SERIOUS[worst] ?? '';
}

/** Return the endpoints whose name, state, target or model has all words of a search, by name. */
export function matching(rows: Iterable<IEndpoint>, search: string): IEndpoint[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return [...rows]
    .filter(row => {
      const models = row.versions.flatMap(version => [version.name, ...version.models]);
      const text = [row.name, row.state, row.target, ...models].join(' ').toLowerCase();
      return words.every(word => text.includes(word));
    })
    .sort((one, other) => one.name.localeCompare(other.name));
}

/** Return the names of the endpoints that use a version of a model. */
export function usersOf(rows: Iterable<IEndpoint>, model: IModel): string[] {
  const id = `${model.name}:${model.version}`;
  return [...rows]
    .filter(row => row.versions.some(version => version.models.includes(id)))
    .map(row => row.name)
    .sort();
}
