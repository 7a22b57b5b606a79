import { InputDialog, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Endpoints } from './endpoints';

/** Return the endpoint that a command is about: the given one, or one that is chosen from a list; null for none. */
export async function chosenEndpoint(
  endpoints: Endpoints,
  args: ReadonlyPartialJSONObject,
  trans: TranslationBundle
): Promise<string | null> {
  if (typeof args.name === 'string') {
    return args.name;
  }
  const items = [...endpoints.rows.keys()].sort();
  if (items.length === 0) {
    Notification.info(trans.__('The workspace %1 has no endpoint.', endpoints.workspace));
    return null;
  }
  return (await InputDialog.getItem({ title: trans.__('Endpoint'), items })).value;
}
