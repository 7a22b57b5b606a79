import type { IEndpoint, IEndpointsMessage, IModel } from './documents';

const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 30;
const FIRST_POLL = 5;

/** Return the pause in seconds before a connection is tried again. */
export function pauseAfter(failures: number): number {
  return Math.min(FIRST_PAUSE * 2 ** Math.max(failures - 1, 0), LONGEST_PAUSE);
}

/** Return the pause in seconds before the endpoints are asked for again; it grows while nothing changes. */
export function pauseOfPolls(unchanged: number): number {
  return Math.min(FIRST_POLL * 2 ** unchanged, LONGEST_PAUSE);
}

/**
 * Return the rows after a message: all of them, or the rows before with those that have changed.
 *
 * A server that was just started does not know everything yet: what was known before stays until it does. So do the
 * endpoints of a target that it could not ask so far.
 */
export function updated(
  before: ReadonlyMap<string, IEndpoint>,
  message: IEndpointsMessage
): Map<string, IEndpoint> {
  const rows = new Map<string, IEndpoint>();
  const unread = new Set(message.problems?.filter(({ read }) => !read).map(one => one.target));
  for (const [name, row] of before) {
    const stays = !message.whole || message.known === false || unread.has(row.target);
    if (stays && message.gone !== true) {
      rows.set(name, row);
    }
  }
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

const TEXTS = new WeakMap<IEndpoint, string>();
const ORDER = new Intl.Collator();

/** Return the text that a search looks at; it is made once for each row, which never changes. */
function searched(row: IEndpoint): string {
  let text = TEXTS.get(row);
  if (text === undefined) {
    const models = row.versions.flatMap(version => [version.name, ...version.models]);
    text = [row.name, row.state, row.target, ...models].join(' ').toLowerCase();
    TEXTS.set(row, text);
  }
  return text;
}

/** Return the endpoints whose name, state, target or model has all words of a search, by name. */
export function matching(rows: Iterable<IEndpoint>, search: string): IEndpoint[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return [...rows]
    .filter(row => words.every(word => searched(row).includes(word)))
    .sort((one, other) => ORDER.compare(one.name, other.name));
}

/** Return the names of the endpoints that use a version of a model. */
export function usersOf(rows: Iterable<IEndpoint>, model: IModel): string[] {
  const id = `${model.name}:${model.version}`;
  return [...rows]
    .filter(row => row.versions.some(version => version.models.includes(id)))
    .map(row => row.name)
    .sort();
}

/** What has happened to an endpoint: its kind names the setting that mutes it. */
export interface IEvent {
  kind: 'deployed' | 'failed' | 'unhealthy' | 'rollout' | 'certificate';
  name: string;
  reason: string;
}

/** Return what has happened between two lists of endpoints, for those that are in both or new in the second one. */
export function eventsOf(
  before: ReadonlyMap<string, IEndpoint>,
  after: ReadonlyMap<string, IEndpoint>
): IEvent[] {
  const found: IEvent[] = [];
  for (const [name, row] of after) {
    const earlier = before.get(name);
    const reason = row.problem?.message ?? '';
    if (earlier === undefined) {
      continue;
    }
    if (earlier.rollout && !row.rollout) {
      found.push({ kind: 'rollout', name, reason: sharesOf(row) });
    }
    if (row.state === earlier.state) {
      continue;
    }
    if (row.state === 'Healthy' && earlier.state === 'Transitioning') {
      found.push({ kind: 'deployed', name, reason: '' });
    } else if (row.state === 'Failed') {
      found.push({ kind: 'failed', name, reason });
    } else if (row.state === 'Unhealthy' || row.state === 'Unschedulable') {
      found.push({ kind: 'unhealthy', name, reason });
    }
  }
  return found;
}

/**
 * Return the certificates that end soon or have ended, one for each sentence about it: endpoints of one router share its
 * certificate.
 *
 * @param rows - all endpoints
 * @param told - what was told before; new sentences are added
 */
export function endingCertificates(rows: Iterable<IEndpoint>, told: Set<string>): IEvent[] {
  const found = new Map<string, string[]>();
  for (const { name, certificate } of rows) {
    const reason = certificate?.problem?.message;
    if (reason !== undefined && !told.has(reason)) {
      found.set(reason, [...(found.get(reason) ?? []), name]);
    }
  }
  return [...found].map(([reason, names]) => {
    told.add(reason);
    return { kind: 'certificate', name: names.sort()[0], reason };
  });
}

const MOST_CHARACTERS = 40;

/** Return the name of a notebook, without its middle if it is too long for a button. */
export function shortName(name: string): string {
  if (name.length <= MOST_CHARACTERS) {
    return name;
  }
  const end = Math.floor(MOST_CHARACTERS / 2) - 1;
  return `${name.slice(0, MOST_CHARACTERS - end - 1)}…${name.slice(-end)}`;
}

/** Return where an image is, for people: the Docker engine, or the host of a container registry. */
export function placeOf(target: string): string {
  return target.replace(/^registry\//, '').replace(/^docker\//, 'docker at ');
}

/** Return the shares of the versions of an endpoint, such as `blue 70 %, green 30 %`. */
export function sharesOf(row: IEndpoint): string {
  return row.versions.map(version => `${version.name} ${version.share} %`).join(', ');
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Return whether only programs on the machine of the Jupyter server reach a scoring URI, and the page is elsewhere. */
export function isOnlyOnServer(uri: string, pageHost: string): boolean {
  return URL.canParse(uri) && LOOPBACK.test(new URL(uri).hostname) && !LOOPBACK.test(pageHost);
}

/** Return the points of a line for a chart of some width and height; the highest value touches the top. */
export function linePoints(values: readonly number[], width: number, height: number): string {
  const highest = Math.max(...values, 0) || 1;
  const step = width / Math.max(values.length - 1, 1);
  return values
    .map((value, place) => `${round(place * step)},${round(height - (value / highest) * height)}`)
    .join(' ');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Return the code of a cell about an endpoint that was dragged into a notebook. */
export function endpointCell(name: string): string {
  return `from mljupyter.core import Workspace\n\nservice = Workspace.from_config().webservices["${name}"]\nservice`;
}

/** Return the code of a cell about a version of a model that was dragged into a notebook. */
export function modelCell(name: string, version: number): string {
  return `from mljupyter.core import Model, Workspace\n\nmodel = Model(Workspace.from_config(), id="${name}:${version}")\nmodel`;
}

const MODELS = [
  '.pkl',
  '.pickle',
  '.joblib',
  '.onnx',
  '.pt',
  '.pth',
  '.keras',
  '.h5',
  '.cbm',
  '.ubj'
];

/** Return whether the name of a file or directory may be that of a model; any directory may hold one. */
export function looksLikeModel(name: string, isDirectory: boolean): boolean {
  return isDirectory || MODELS.some(ending => name.toLowerCase().endsWith(ending));
}
