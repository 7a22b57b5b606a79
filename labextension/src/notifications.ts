import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { CommandIDs } from './commands';
import type { Endpoints } from './endpoints';
import type { IEvent } from './listing';
import type { Preferences } from './preferences';

/** Notify of what happens to endpoints, as far as it is not muted. */
export function tellEvents(
  endpoints: Endpoints,
  commands: CommandRegistry,
  preferences: Preferences,
  trans: TranslationBundle
): void {
  endpoints.happened.connect((_, event) => {
    if (!preferences.isTold(event.kind)) {
      return;
    }
    const open = (id: string, label: string): Notification.IAction => ({
      label,
      callback: () => void commands.execute(id, { name: event.name })
    });
    const message = [textOf(event, trans), event.reason].filter(Boolean).join('\n');
    if (event.kind === 'deployed') {
      const actions = [open(CommandIDs.tryIt, trans.__('Try it'))];
      Notification.success(message, { autoClose: 8000, actions });
    } else if (event.kind === 'certificate') {
      Notification.warning(message, {
        autoClose: false,
        actions: [open(CommandIDs.monitor, trans.__('Monitor'))]
      });
    } else if (event.kind === 'rollout') {
      Notification.info(message, {
        autoClose: false,
        actions: [open(CommandIDs.monitor, trans.__('Monitor'))]
      });
    } else {
      Notification.error(message, {
        autoClose: false,
        actions: [open(CommandIDs.logs, trans.__('Show logs'))]
      });
    }
  });
}

function textOf({ kind, name }: IEvent, trans: TranslationBundle): string {
  switch (kind) {
    case 'deployed':
      return trans.__('%1 is Healthy.', name);
    case 'failed':
      return trans.__('%1 has failed.', name);
    case 'unhealthy':
      return trans.__('%1 does not serve as it should.', name);
    case 'certificate':
      return trans.__('The certificate of %1 needs attention.', name);
    case 'rollout':
      return trans.__('The rollout of %1 has ended.', name);
  }
}
