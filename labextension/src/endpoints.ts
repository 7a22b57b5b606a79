import { type ISignal, Signal } from '@lumino/signaling';

import type { Api } from './api';
import type { Channel, ServerMessage } from './channel';
import type { IEndpoint, IPlaneProblem, IRates } from './documents';
import { type IEvent, endingCertificates, eventsOf, pauseOfPolls, updated } from './listing';

/** How much is known: nothing yet, everything as it is now, or what was there before the connection was lost. */
export type Freshness = 'loading' | 'live' | 'stale';

/** The endpoints of the chosen workspace, as the server tells of them. */
export class Endpoints {
  constructor(
    private readonly channel: Channel,
    private readonly api: Api
  ) {
    channel.heard.connect((_, message) => {
      this.hear(message);
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.isDue) {
        this.isDue = false;
        void this.poll();
      }
    });
    channel.opened.connect(() => {
      window.clearTimeout(this.polling);
      this.polling = 0;
      this.isDue = false;
      this.ask();
    });
    channel.lost.connect(() => {
      if (channel.isBlocked) {
        if (this.polling === 0) {
          void this.poll();
        }
        return;
      }
      if (this.freshness === 'live' && !channel.isAsleep) {
        this.freshness = 'stale';
        this._changed.emit();
      }
    });
  }

  rows: ReadonlyMap<string, IEndpoint> = new Map();
  freshness: Freshness = 'loading';
  /** The rates of the endpoints that are on the screen. */
  rates: ReadonlyMap<string, IRates> = new Map();
  /** Control planes that do not answer, with the reason. Their endpoints are listed as they were. */
  problems: readonly IPlaneProblem[] = [];
  /** The time of the newest news, in milliseconds since 1970. */
  asOf = 0;
  /** Why the workspace cannot be shown. */
  error = '';
  workspace = '';

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Something has happened to an endpoint that a person may want to hear of. */
  get happened(): ISignal<this, IEvent> {
    return this._happened;
  }

  /** Ask for the rates of the endpoints that are on the screen. */
  showRates(names: readonly string[]): void {
    const text = names.join();
    if (text !== this.rated) {
      this.rated = text;
      this.channel.tell({ do: 'rates', workspace: this.workspace, names });
    }
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
    this.rates = new Map();
    this.rated = '';
    this.problems = [];
    this.error = '';
    this.freshness = 'loading';
    this._changed.emit();
    this.ask();
  }

  /** Follow the workspace again, such as one that was created again. */
  followAgain(): void {
    this.channel.tell({ do: 'unfollow', workspace: this.workspace });
    this.ask();
  }

  private ask(): void {
    this.rated = '';
    if (this.workspace !== '') {
      this.channel.tell({ do: 'follow', workspace: this.workspace });
    }
  }

  /** Ask for all endpoints, and again after a pause: the way where there can be no connection. */
  private async poll(): Promise<void> {
    if (document.hidden) {
      this.isDue = true;
      return;
    }
    const { workspace } = this;
    this.polling = -1;
    try {
      if (workspace !== '') {
        const { rows } = await this.api.endpoints(workspace);
        const text = JSON.stringify(rows);
        this.unchanged = text === this.polled ? this.unchanged + 1 : 0;
        this.polled = text;
        this.hear({ is: 'endpoints', workspace, whole: true, known: true, rows });
      }
    } catch {
      this.unchanged += 1;
      this.freshness = this.freshness === 'live' ? 'stale' : this.freshness;
      this._changed.emit();
    }
    this.polling = 0;
    if (this.channel.isBlocked) {
      this.polling = window.setTimeout(() => void this.poll(), pauseOfPolls(this.unchanged) * 1000);
    }
  }

  private hear(message: ServerMessage): void {
    if (message.is === 'error' && message.workspace === this.workspace && !message.view) {
      this.error = [message.message, message.hint].filter(Boolean).join('\n');
    } else if (message.is === 'endpoints' && message.workspace === this.workspace) {
      const before = this.rows;
      this.asOf = Date.now();
      this.rows = updated(before, message);
      if (this.freshness !== 'loading') {
        // Those that happened while there was no connection are found by this, too: each once.
        eventsOf(before, this.rows).forEach(event => {
          this._happened.emit(event);
        });
      }
      endingCertificates(this.rows.values(), this.toldCertificates).forEach(event => {
        this._happened.emit(event);
      });
      this.error = '';
      if (message.whole) {
        this.problems = message.problems ?? [];
        this.freshness = message.known ? 'live' : this.freshness;
        this.error = message.gone ? `The workspace ${this.workspace} was deleted.` : '';
      }
    } else if (message.is === 'beat') {
      this.asOf = Date.now();
      return;
    } else if (message.is === 'rates' && message.workspace === this.workspace) {
      this.rates = new Map(Object.entries(message.rates));
    } else {
      return;
    }
    this._changed.emit();
  }

  private readonly toldCertificates = new Set<string>();
  private rated = '';
  private polling = 0;
  private unchanged = 0;
  private polled = '';
  private isDue = false;
  private readonly _happened = new Signal<this, IEvent>(this);

  private readonly _changed = new Signal<this, void>(this);
}
