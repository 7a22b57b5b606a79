/** The reason why something does not start or work. */
export interface IProblem {
  code: string;
  message: string;
}

/** A version of an endpoint, as the server lists it. */
export interface IVersion {
  name: string;
  isDefault: boolean;
  share: number;
  weight: number;
  state: string;
  problem: IProblem | null;
  ready: number;
  wanted: number;
  models: string[];
  replicas: { id: string; phase: string }[];
}

/** An endpoint, as the server lists it. */
export interface IEndpoint {
  name: string;
  kind: string;
  target: string;
  state: string;
  problem: IProblem | null;
  uri: string;
  authentication: string;
  rollout: boolean;
  ready: number;
  wanted: number;
  /** The number of the change that made its present state. */
  generation: number;
  updated: number;
  /** The certificate that clients see, with its problem if it ends soon; null without TLS. */
  certificate: { ends: number; problem: IProblem | null } | null;
  versions: IVersion[];
}

/** A version of a registered model. */
export interface IModel {
  name: string;
  version: number;
  framework: string;
  size: number;
  created: number;
  usedBy: string[];
}

/** A version of a registered image. */
export interface IImage {
  name: string;
  version: number;
  state: string;
  error: string;
  /** In bytes; null if its place does not tell. */
  size: number | null;
  created: number;
  target: string;
  location: string;
  usedBy: string[];
}

/** A compute target. */
export interface ITarget {
  name: string;
  type: string;
  about: string;
  problem: string;
}

/** How other programs call an endpoint. */
export interface IClients {
  uri: string;
  curl: string;
  python: string;
  key_hint: string;
}

/** The endpoints of a workspace, or those that have changed. */
export interface IEndpointsMessage {
  is: 'endpoints';
  workspace: string;
  whole: boolean;
  gone?: boolean;
  known?: boolean;
  rows: IEndpoint[];
  removed?: string[];
  problems?: IPlaneProblem[];
}

/** A control plane that does not answer. */
export interface IPlaneProblem {
  target: string;
  message: string;
  /** Whether its endpoints were read before. */
  read: boolean;
  /** The time of its last answer, in seconds since 1970; null before the first one. */
  asOf: number | null;
}

/** The requests per second of an endpoint in the last two minutes, oldest first, and its p95 in milliseconds. */
export interface IRates {
  points: number[];
  p95: number | null;
}

/** The rates of the endpoints that the page shows. */
export interface IRatesMessage {
  is: 'rates';
  workspace: string;
  rates: Record<string, IRates>;
}
