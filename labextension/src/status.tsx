import { UseSignal, ReactWidget } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from './commands';
import type { Endpoints } from './endpoints';
import { worstState } from './listing';

/** The number of endpoints and the worst of their states, in the status bar; a click opens the panel. */
export class StatusItem extends ReactWidget {
  constructor(
    private readonly endpoints: Endpoints,
    private readonly commands: CommandRegistry,
    private readonly trans: TranslationBundle
  ) {
    super();
  }

  protected render(): React.JSX.Element {
    return (
      <UseSignal signal={this.endpoints.changed}>
        {() => {
          const number = this.endpoints.rows.size;
          const worst = worstState(this.endpoints.rows.values());
          const counted = this.trans._n('%1 endpoint', '%1 endpoints', number);
          return (
            <button
              type="button"
              className="mljlab-status-item"
              title={this.trans.__('Open the panel of mljupyter')}
              onClick={() => void this.commands.execute(CommandIDs.showPanel)}
            >
              {worst === '' || worst === 'Healthy' ? counted : `${counted} · ${worst}`}
            </button>
          );
        }}
      </UseSignal>
    );
  }
}
