import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IEndpointsMessage, IRatesMessage } from './documents';
import { pauseAfter } from './listing';

/** What the server tells of a view. */
export type ViewMessage =
  | { is: 'view'; view: string; module: string; state: Record<string, unknown> }
  | { is: 'update'; view: string; state: Record<string, unknown> }
  | { is: 'message'; view: string; content: unknown }
  | { is: 'ended'; view: string };

/** An error about a view, about a workspace, or about neither. */
export interface IErrorMessage {
  is: 'error';
  view?: string;
  workspace?: string;
  message: string;
  hint: string;
}

export type ServerMessage = IEndpointsMessage | IRatesMessage | ViewMessage | IErrorMessage;

const HIDDEN_SECONDS = 60;

/**
 * The one connection of a page to the server extension.
 *
 * It is opened by the first message and comes back by itself. `opened` tells those that follow something to ask again.
 * A page that nobody sees for a minute has no connection.
 */
export class Channel {
  constructor(private readonly settings: ServerConnection.ISettings) {
    document.addEventListener('visibilitychange', () => {
      window.clearTimeout(this.hiding);
      if (document.hidden) {
        this.hiding = window.setTimeout(() => {
          this.sleep();
        }, HIDDEN_SECONDS * 1000);
      } else if (this.wanted && this.socket === null) {
        this.connect();
      }
    });
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

  /** Whether no connection has come about so far, such as behind a proxy that lets none through. */
  get isBlocked(): boolean {
    return !this.everOpen && this.failures >= 2;
  }

  /** Open the connection, unless it is there or on its way. */
  connect(): void {
    this.wanted = true;
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
    socket.onopen = () => {
      this.failures = 0;
      this.everOpen = true;
      this._opened.emit();
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this._heard.emit(JSON.parse(event.data) as ServerMessage);
    };
    socket.onclose = () => {
      if (this.socket === socket) {
        this.socket = null;
        this.again();
      }
    };
  }

  /** Send a message; return false if there is no connection now. */
  tell(message: object): boolean {
    if (!this.isOpen) {
      this.connect();
      return false;
    }
    this.socket?.send(JSON.stringify(message));
    return true;
  }

  private again(): void {
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
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this._lost.emit();
  }

  private socket: WebSocket | null = null;
  private wanted = false;
  private everOpen = false;
  private failures = 0;
  private retry = 0;
  private hiding = 0;
  private readonly _opened = new Signal<this, void>(this);
  private readonly _lost = new Signal<this, void>(this);
  private readonly _heard = new Signal<this, ServerMessage>(this);
}
