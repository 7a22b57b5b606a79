import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';

import type { IClients, IEndpoint, IImage, IModel, ITarget } from './documents';

/** An error of the server extension: the message for people, and the way out. */
export class MLJupyterError extends Error {
  constructor(
    message: string,
    readonly hint: string,
    readonly status: number
  ) {
    super(message);
  }
}

const NOT_FOUND = 404;
/** The pauses in seconds before a change whose answer was lost is sent again. The server makes it once. */
const PAUSES = [1, 2, 4];
/** The answers of a proxy that has lost the server, or has waited too long for it. */
const LOST = [502, 504];
const REQUEST_ID = 'X-Mljupyter-Request';

/** Return name and version of an id such as `iris:3`. */
function partsOf(id: string): [string, string] {
  const at = id.lastIndexOf(':');
  return [id.slice(0, at), id.slice(at + 1)];
}

/** The requests to the server extension. */
export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Return the version of the Python package of the server; null if the server does not have the extension. */
  async version(): Promise<string | null> {
    try {
      return (await this.ask<{ version: string }>('GET', 'version')).version;
    } catch (error) {
      if (error instanceof MLJupyterError && error.status === NOT_FOUND) {
        return null;
      }
      throw error;
    }
  }

  workspaces(): Promise<{ names: string[]; default: string }> {
    return this.ask('GET', 'workspaces');
  }

  module(name: string): Promise<{ module: string; styles: string }> {
    return this.ask('GET', 'modules', name);
  }

  endpoints(workspace: string): Promise<{ rows: IEndpoint[] }> {
    return this.ask('GET', 'workspaces', workspace, 'endpoints');
  }

  models(workspace: string): Promise<IModel[]> {
    return this.ask('GET', 'workspaces', workspace, 'models');
  }

  targets(workspace: string): Promise<ITarget[]> {
    return this.ask('GET', 'workspaces', workspace, 'targets');
  }

  images(workspace: string): Promise<IImage[]> {
    return this.ask('GET', 'workspaces', workspace, 'images');
  }

  /** Return everything that uses a version of a model; empty if it can be deleted. */
  async usersOfModel(workspace: string, id: string): Promise<string[]> {
    const path = ['workspaces', workspace, 'models', ...partsOf(id)];
    return (await this.send<{ usedBy: string[] }>('GET', path)).usedBy;
  }

  /** Return the address from which a browser downloads a version of a model. */
  modelAddress(workspace: string, id: string): string {
    const url = new URL(this.address('workspaces', workspace, 'models', ...partsOf(id), 'content'));
    if (this.settings.appendToken && this.settings.token !== '') {
      url.searchParams.set('token', this.settings.token);
    }
    return url.toString();
  }

  clients(workspace: string, name: string): Promise<IClients> {
    return this.ask('GET', 'workspaces', workspace, 'endpoints', name, 'clients');
  }

  /** Do what a button of a panel does; return the sentence about it. */
  async act(
    workspace: string,
    name: string,
    action: string,
    values: Record<string, string> = {}
  ): Promise<string> {
    const path = ['workspaces', workspace, 'endpoints', name, 'actions', action];
    return (await this.send<{ said: string }>('POST', path, values)).said;
  }

  async deleteEndpoint(workspace: string, name: string): Promise<string> {
    const path = ['workspaces', workspace, 'endpoints', name];
    return (await this.send<{ said: string }>('DELETE', path)).said;
  }

  async deleteModel(workspace: string, id: string): Promise<string> {
    const path = ['workspaces', workspace, 'models', ...partsOf(id)];
    return (await this.send<{ said: string }>('DELETE', path)).said;
  }

  async deleteImage(workspace: string, id: string): Promise<string> {
    const path = ['workspaces', workspace, 'images', ...partsOf(id)];
    return (await this.send<{ said: string }>('DELETE', path)).said;
  }

  private address(...path: string[]): string {
    const parts = path.map(part => encodeURIComponent(part));
    return URLExt.join(this.settings.baseUrl, 'mljupyter', ...parts);
  }

  private ask<T>(method: string, ...path: string[]): Promise<T> {
    return this.send<T>(method, path);
  }

  /** Send a request. A change that is under way already is not begun a second time: its result is returned. */
  private send<T>(method: string, path: string[], body?: object): Promise<T> {
    if (method === 'GET') {
      return this.request<T>(method, path);
    }
    const key = JSON.stringify([method, path, body]);
    let result = this.running.get(key);
    if (result === undefined) {
      result = this.changeOnce<T>(method, path, body).finally(() => this.running.delete(key));
      this.running.set(key, result);
    }
    return result as Promise<T>;
  }

  private async changeOnce<T>(method: string, path: string[], body?: object): Promise<T> {
    const id = UUID.uuid4();
    for (const pause of PAUSES) {
      try {
        return await this.request<T>(method, path, body, id);
      } catch (error) {
        const isLost =
          error instanceof ServerConnection.NetworkError ||
          (error instanceof MLJupyterError && LOST.includes(error.status));
        if (!isLost) {
          throw error;
        }
      }
      await new Promise(resolve => window.setTimeout(resolve, pause * 1000));
    }
    return this.request<T>(method, path, body, id);
  }

  private async request<T>(method: string, path: string[], body?: object, id = ''): Promise<T> {
    const url = this.address(...path);
    const init: RequestInit = { method };
    if (id !== '') {
      init.headers = { [REQUEST_ID]: id };
    }
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    const answer = await ServerConnection.makeRequest(url, init, this.settings);
    const text = await answer.text();
    let found: { message?: string; hint?: string };
    try {
      found = JSON.parse(text) as { message?: string; hint?: string };
    } catch {
      found = { message: `The server answered ${answer.status} ${answer.statusText}.` };
    }
    if (!answer.ok) {
      throw new MLJupyterError(found.message ?? answer.statusText, found.hint ?? '', answer.status);
    }
    return found as T;
  }

  private readonly running = new Map<string, Promise<unknown>>();
}
