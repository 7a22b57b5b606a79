import type { IRunningSessions } from '@jupyterlab/running';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';

import { CommandIDs } from './commands';
import type { IEndpoint } from './documents';
import { endpointsIcon } from './icon';
import type { IMLJupyter } from './tokens';

/** The section of running endpoints beside those of kernels and terminals. */
export function runningEndpoints(
  mlj: IMLJupyter,
  commands: CommandRegistry,
  trans: TranslationBundle
): IRunningSessions.IManager {
  const { endpoints, api } = mlj;
  const runningChanged = new Signal<object, unknown>({});
  endpoints.changed.connect(() => {
    runningChanged.emit(undefined);
  });

  const item = (row: IEndpoint): IRunningSessions.IRunningItem => ({
    open: () => void commands.execute(CommandIDs.monitor, { name: row.name }),
    icon: () => endpointsIcon,
    label: () => row.name,
    labelTitle: () => `${row.name}: ${row.state}, ${row.uri}`,
    detail: () => trans.__('%1/%2 replicas', row.ready, row.wanted),
    shutdown: () => {
      void commands.execute(CommandIDs.remove, { name: row.name });
    }
  });
  return {
    name: trans.__('Endpoints'),
    supportsMultipleViews: false,
    running: () => [...endpoints.rows.values()].map(item),
    shutdownAll: () => {
      for (const { name } of endpoints.rows.values()) {
        void api.deleteEndpoint(endpoints.workspace, name);
      }
    },
    refreshRunning: () => {
      mlj.channel.connect();
    },
    runningChanged,
    shutdownLabel: trans.__('Delete'),
    shutdownAllLabel: trans.__('Delete all'),
    shutdownAllConfirmationText: trans.__(
      'Delete all endpoints of the workspace %1? Their addresses do not answer any more; models stay registered.',
      endpoints.workspace
    )
  };
}
