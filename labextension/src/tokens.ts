import { Token } from '@lumino/coreutils';

import type { Api } from './api';
import type { Channel } from './channel';
import type { Endpoints } from './endpoints';

/** What other extensions can use: the endpoints of the chosen workspace, and the requests to the server. */
export interface IMLJupyter {
  readonly api: Api;
  readonly channel: Channel;
  readonly endpoints: Endpoints;
}

export const IMLJupyter = new Token<IMLJupyter>(
  'mljupyter-labextension:IMLJupyter',
  'The endpoints of mljupyter: follow them, and act on them.'
);
