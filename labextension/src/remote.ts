import type { Channel, ServerMessage } from './channel';

type Listener = (...values: unknown[]) => void;

/**
 * The model of a view that lives in the server: what the modules of the widgets ask of the model of a widget.
 *
 * `on` and `off` take the events `change:NAME` and `msg:custom`.
 */
export class RemoteModel {
  constructor(
    private readonly channel: Channel,
    private readonly view: string,
    private state: Record<string, unknown>
  ) {}

  get(name: string): unknown {
    return this.state[name];
  }

  send(content: unknown): void {
    this.channel.tell({ do: 'tell', view: this.view, content });
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
    }
  }

  private emit(event: string, ...values: unknown[]): void {
    (this.listeners.get(event) ?? []).forEach(listener => {
      listener(...values);
    });
  }

  private readonly listeners = new Map<string, Listener[]>();
}
