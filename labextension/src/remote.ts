import type { Channel, ServerMessage } from './channel';

type Listener = (...values: unknown[]) => void;

/** What a view says at intervals: it changes nothing, and is not said again after the connection was lost. */
const REPEATED = ['hello', 'watch', 'gone'];

/**
 * The model of a view that lives in the server: what the modules of the widgets ask of the model of a widget.
 *
 * `on` and `off` take the events `change:NAME` and `msg:custom`.
 */
export class RemoteModel {
  constructor(
    private readonly channel: Channel,
    private readonly view: string,
    private state: Record<string, unknown>,
    private readonly onSend: (content: unknown) => void = () => undefined
  ) {}

  get(name: string): unknown {
    return this.state[name];
  }

  /** Tell the server something. It is told again after a loss of the connection, and heard once. */
  send(content: unknown): void {
    const { kind } = (content ?? {}) as { kind?: unknown };
    if (typeof kind === 'string' && REPEATED.includes(kind)) {
      this.channel.tell({ do: 'tell', view: this.view, content });
      return;
    }
    this.onSend(content);
    this.sent += 1;
    this.unheard.push({ number: this.sent, content });
    this.say(this.unheard[this.unheard.length - 1]);
  }

  /** Take over the state of a view that has gone on while there was no connection. */
  resume(state: Record<string, unknown>): void {
    this.unheard.forEach(one => {
      this.say(one);
    });
    this.hear({ is: 'update', view: this.view, state });
    this.send({ kind: 'hello' });
  }

  on(event: string, listener: Listener): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event: string, listener: Listener): void {
    this.listeners.set(
      event,
      (this.listeners.get(event) ?? []).filter(one => one !== listener)
    );
  }

  /** Take over what the server tells of this view. */
  hear(message: ServerMessage): void {
    if (message.is === 'update') {
      this.state = { ...this.state, ...message.state };
      Object.entries(message.state).forEach(([name, value]) => {
        this.emit(`change:${name}`, this, value);
      });
    } else if (message.is === 'message') {
      this.emit('msg:custom', message.content, []);
    } else if (message.is === 'heard') {
      this.unheard = this.unheard.filter(({ number }) => number > message.number);
    }
  }

  private say({ number, content }: { number: number; content: unknown }): void {
    this.channel.tell({ do: 'tell', view: this.view, from: this.channel.id, number, content });
  }

  private emit(event: string, ...values: unknown[]): void {
    (this.listeners.get(event) ?? []).forEach(listener => {
      listener(...values);
    });
  }

  private sent = 0;
  private unheard: { number: number; content: unknown }[] = [];
  private readonly listeners = new Map<string, Listener[]>();
}
