import { Token } from '@lumino/coreutils';

import type { Api } from './api';
import type { Channel } from './channel';
import type { Endpoints } from './endpoints';
import type { EndpointMenu } from './menu';
import type { IMissing } from './server';

/** What other extensions can use. */
export interface IMLJupyter {
  /** The requests to the server extension. */
  readonly api: Api;
  /** The connection of the page to the server extension. */
  readonly channel: Channel;
  /** The endpoints of the chosen workspace, as they are now, and signals of what happens to them. */
  readonly endpoints: Endpoints;
  /** The menu of an endpoint in the side panel. */
  readonly menu: EndpointMenu;
  /** Why nothing works on this page, such as without the server extension; null if everything does. */
  readonly missing: Promise<IMissing | null>;
}

export const IMLJupyter = new Token<IMLJupyter>(
  'mljupyter-labextension:IMLJupyter',
  'The endpoints of mljupyter: follow them, act on them, and add items to their menu.'
);
