import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IEndpointsMessage, IRatesMessage } from './documents';
import { pauseAfter } from './listing';

/** What the server tells of a view. */
export type ViewMessage =
  | { is: 'view'; view: string; module: string; state: Record<string, unknown>; born: string }
  | { is: 'update'; view: string; state: Record<string, unknown> }
  | { is: 'message'; view: string; content: unknown }
  | { is: 'heard'; view: string; number: number }
  | { is: 'ended'; view: string };

/** An error about a view, about a workspace, or about neither. */
export interface IErrorMessage {
  is: 'error';
  view?: string;
  workspace?: string;
  message: string;
  hint: string;
}

/** What the server sends at intervals, so that silence means that the connection is dead. */
export interface IBeat {
  is: 'beat';
  time: number;
}

export type ServerMessage = IEndpointsMessage | IRatesMessage | ViewMessage | IErrorMessage | IBeat;

/** A look at another tab of the browser costs no new connection. */
const HIDDEN_SECONDS = 5;
/** The server beats every 15 s; a slow link may lose a beat. */
const SILENT_SECONDS = 40;
const LOOK_SECONDS = 10;

/**
 * The one connection of a page to the server extension.
 *
 * It is opened by the first message and comes back by itself. `opened` tells those that follow something to ask again.
 * A page that nobody sees has no connection after a few seconds, and one whose server is silent gets another one.
 */
export class Channel {
  constructor(private readonly settings: ServerConnection.ISettings) {
    document.addEventListener('visibilitychange', () => {
      window.clearTimeout(this.hiding);
      if (document.hidden) {
        this.hiding = window.setTimeout(() => {
          this.sleep();
        }, HIDDEN_SECONDS * 1000);
      } else if (this.wanted) {
        this.look();
        this.connect();
      }
    });
    window.addEventListener('online', () => {
      if (this.wanted && !document.hidden) {
        this.connect();
      }
    });
  }

  /** The id of this page. */
  readonly id = UUID.uuid4();

  /** The time at which the server was last heard, in milliseconds since 1970; 0 before. */
  get lastHeard(): number {
    return this.heardAt;
  }

  /** The connection is there, for the first time or again. */
  get opened(): ISignal<this, void> {
    return this._opened;
  }

  /** The connection is gone, and is tried again. */
  get lost(): ISignal<this, void> {
    return this._lost;
  }

  get heard(): ISignal<this, ServerMessage> {
    return this._heard;
  }

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Whether there is no way to a connection, such as behind a proxy that lets none through. */
  get isBlocked(): boolean {
    return this.failures >= (this.everOpen ? 4 : 2);
  }

  /** Whether the connection was ended because nobody sees the page: nothing is wrong. */
  get isAsleep(): boolean {
    return this.asleep;
  }

  /** Open the connection, unless it is there or on its way. */
  connect(): void {
    this.wanted = true;
    this.asleep = false;
    window.clearTimeout(this.retry);
    if (this.socket !== null) {
      return;
    }
    const url = new URL(URLExt.join(this.settings.wsUrl, 'mljupyter', 'channel'));
    if (this.settings.appendToken && this.settings.token !== '') {
      url.searchParams.set('token', this.settings.token);
    }
    const socket = new this.settings.WebSocket(url.toString());
    this.socket = socket;
    this.quietSince = Date.now();
    window.clearInterval(this.looking);
    this.looking = window.setInterval(() => {
      this.look();
    }, LOOK_SECONDS * 1000);
    socket.onopen = () => {
      this.failures = 0;
      this.everOpen = true;
      this.quietSince = Date.now();
      this._opened.emit();
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.quietSince = this.heardAt = Date.now();
      this._heard.emit(JSON.parse(event.data) as ServerMessage);
    };
    socket.onclose = () => {
      if (this.socket === socket) {
        this.again();
      }
    };
  }

  /** Give up a connection over which nothing comes any more. */
  private look(): void {
    if (this.socket !== null && Date.now() - this.quietSince > SILENT_SECONDS * 1000) {
      this.socket.close(); // which may take long: nobody waits for it
      this.again();
    }
  }

  /** Send a message; return false if there is no connection now. */
  tell(message: object): boolean {
    if (!this.isOpen) {
      if (!this.wanted) {
        this.connect();
      }
      return false;
    }
    this.socket?.send(JSON.stringify(message));
    return true;
  }

  private again(): void {
    window.clearInterval(this.looking);
    window.clearTimeout(this.retry);
    this.socket = null;
    this.failures += 1;
    this._lost.emit();
    if (this.wanted && !document.hidden) {
      this.retry = window.setTimeout(
        () => {
          this.connect();
        },
        pauseAfter(this.failures) * 1000
      );
    }
  }

  private sleep(): void {
    window.clearTimeout(this.retry);
    window.clearInterval(this.looking);
    const socket = this.socket;
    this.socket = null;
    this.asleep = true;
    socket?.close();
    this._lost.emit();
  }

  private socket: WebSocket | null = null;
  private wanted = false;
  private everOpen = false;
  private asleep = false;
  private failures = 0;
  private retry = 0;
  private looking = 0;
  private quietSince = 0;
  private heardAt = 0;
  private hiding = 0;
  private readonly _opened = new Signal<this, void>(this);
  private readonly _lost = new Signal<this, void>(this);
  private readonly _heard = new Signal<this, ServerMessage>(this);
}
