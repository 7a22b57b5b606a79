import { type ISignal, Signal } from '@lumino/signaling';

import type { Channel, ServerMessage } from './channel';
import type { IEndpoint } from './documents';
import { updated } from './listing';

/** How much is known: nothing yet, everything as it is now, or what was there before the connection was lost. */
export type Freshness = 'loading' | 'live' | 'stale';

/** The endpoints of the chosen workspace, as the server tells of them. */
export class Endpoints {
  constructor(private readonly channel: Channel) {
    channel.heard.connect((_, message) => {
      this.hear(message);
    });
    channel.opened.connect(() => {
      this.ask();
    });
    channel.lost.connect(() => {
      if (this.freshness === 'live') {
        this.freshness = 'stale';
        this._changed.emit();
      }
    });
  }

  rows: ReadonlyMap<string, IEndpoint> = new Map();
  freshness: Freshness = 'loading';
  /** Control planes that do not answer, with the reason. Their endpoints are listed as they were. */
  problems: readonly { target: string; message: string }[] = [];
  /** Why the workspace cannot be shown. */
  error = '';
  workspace = '';

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Show another workspace. */
  choose(workspace: string): void {
    if (workspace === this.workspace) {
      return;
    }
    if (this.workspace !== '') {
      this.channel.tell({ do: 'unfollow', workspace: this.workspace });
    }
    this.workspace = workspace;
    this.rows = new Map();
    this.problems = [];
    this.error = '';
    this.freshness = 'loading';
    this._changed.emit();
    this.ask();
  }

  private ask(): void {
    if (this.workspace !== '') {
      this.channel.tell({ do: 'follow', workspace: this.workspace });
    }
  }

  private hear(message: ServerMessage): void {
    if (message.is === 'error' && message.workspace === this.workspace && !message.view) {
      this.error = [message.message, message.hint].filter(Boolean).join('\n');
    } else if (message.is === 'endpoints' && message.workspace === this.workspace) {
      this.rows = updated(this.rows, message);
      this.error = '';
      if (message.whole) {
        this.problems = message.problems ?? [];
        this.freshness = message.known ? 'live' : 'loading';
        this.error = message.gone ? `The workspace ${this.workspace} was deleted.` : '';
      }
    } else {
      return;
    }
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
}
