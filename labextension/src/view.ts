import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { Api } from './api';
import type { Channel, ServerMessage } from './channel';
import { clock } from './format';
import { RemoteModel } from './remote';
import type { IMissing } from './server';
import { Typed } from './typed';

/** The pause before the module of a view that could not be loaded is asked for again. */
const RETRY_SECONDS = 5;

/** What a view shows: its kind, the workspace, and what it was opened for. */
export interface IViewRequest {
  id: string;
  kind: string;
  workspace: string;
  given: Partial<Record<string, string>>;
}

interface IWidgetModule {
  default: { render(view: { model: RemoteModel; el: HTMLElement }): (() => void) | undefined };
}

/** Return the wizard in a tab that an element is in; null for anything else. */
export function formAround(element: Node): { id: string; workspace: string } | null {
  const node = element instanceof Element ? element.closest<HTMLElement>('.mljlab-View') : null;
  const { view, workspace } = node?.dataset ?? {};
  return view === undefined || workspace === undefined ? null : { id: view, workspace };
}

/** The modules that draw views, each loaded once: those of the widgets in notebooks. */
export class Modules {
  constructor(private readonly api: Api) {}

  load(name: string): Promise<IWidgetModule> {
    let found = this.loaded.get(name);
    if (found === undefined) {
      found = this.fetch(name);
      found.catch(() => this.loaded.delete(name));
      this.loaded.set(name, found);
    }
    return found;
  }

  private async fetch(name: string): Promise<IWidgetModule> {
    const { module, styles } = await this.api.module(name);
    const url = URL.createObjectURL(new Blob([module], { type: 'text/javascript' }));
    try {
      const found = (await import(/* webpackIgnore: true */ url)) as IWidgetModule;
      const style = document.createElement('style');
      style.textContent = styles;
      document.head.append(style);
      return found;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  private readonly loaded = new Map<string, Promise<IWidgetModule>>();
}

/** A monitor, a log or a wizard in a tab of its own. It lives in the server, so it needs no kernel. */
export class View extends Widget {
  constructor(
    readonly request: IViewRequest,
    private readonly channel: Channel,
    private readonly modules: Modules,
    private readonly trans: TranslationBundle,
    private readonly onDrawn: (view: View) => (() => void) | undefined = () => undefined
  ) {
    super();
    this.typed = new Typed(request.id, window.sessionStorage);
    this.addClass('mljlab-View');
    this.node.dataset.view = request.id;
    this.node.dataset.workspace = request.workspace;
    this.said.className = 'mljlab-View-said';
    this.said.setAttribute('role', 'status');
    this.node.append(this.said, this.place);
    channel.heard.connect(this.hear, this);
    channel.opened.connect(this.ask, this);
    channel.lost.connect(this.lose, this);
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.channel.heard.disconnect(this.hear, this);
    this.channel.opened.disconnect(this.ask, this);
    this.channel.lost.disconnect(this.lose, this);
    this.clear();
    this.channel.tell({ do: 'close', view: this.request.id });
    this.typed.forget();
    super.dispose();
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.model === null) {
      this.say(this.trans.__('Loading …'));
      this.ask();
    }
  }

  private ask(): void {
    const { id, kind, workspace, given } = this.request;
    this.channel.tell({ do: 'open', view: id, kind, workspace, given });
  }

  private lose(): void {
    if (this.channel.isAsleep) {
      return;
    }
    if (this.isDrawn) {
      this.say(
        this.trans.__(
          'The server does not answer: this is what was there at %1. Trying again …',
          clock(this.channel.lastHeard)
        )
      );
      this.place.inert = true;
    } else if (this.channel.isBlocked) {
      this.say(
        this.trans.__(
          'No WebSocket reaches the server, and this tab needs one. A proxy may have to let it through. Trying again …'
        )
      );
    }
  }

  private hear(_: Channel, message: ServerMessage): void {
    if (!('view' in message) || message.view !== this.request.id) {
      return;
    }
    if (message.is === 'view') {
      if (this.model !== null && message.born === this.born) {
        this.place.inert = false;
        this.say(this.isDrawn ? '' : this.trans.__('Loading …'));
        this.model.resume(message.state);
      } else {
        this.born = message.born;
        void this.draw(message.module, message.state);
      }
    } else if (message.is === 'error') {
      this.say([message.message, message.hint].filter(Boolean).join('\n'));
    } else if (message.is === 'ended') {
      this.ask();
    } else {
      this.model?.hear(message);
      this.typed.see(this.model?.get('view'));
    }
  }

  private async draw(name: string, state: Record<string, unknown>): Promise<void> {
    const model = new RemoteModel(this.channel, this.request.id, state, content => {
      this.typed.note(content, model.get('view'));
    });
    this.model = model; // which follows the changes that come while its module is loading
    const typed = this.typed.missing(this.born);
    if (typed !== null) {
      model.send(typed);
    }
    let module: IWidgetModule;
    try {
      module = await this.modules.load(name);
    } catch (error) {
      if (this.model === model) {
        this.model = null;
        this.say(String(error instanceof Error ? error.message : error));
        window.setTimeout(() => {
          if (!this.isDisposed && this.model === null) {
            this.ask();
          }
        }, RETRY_SECONDS * 1000);
      }
      return;
    }
    if (this.isDisposed || this.model !== model) {
      return;
    }
    this.clear();
    this.place.inert = false;
    const stop = module.default.render({ model, el: this.place });
    const end = this.onDrawn(this);
    this.stops = [stop, end].filter(one => one !== undefined);
    this.isDrawn = true;
    this.say('');
  }

  private clear(): void {
    this.stops.forEach(stop => {
      stop();
    });
    this.stops = [];
    this.place.replaceChildren();
  }

  /** Tell that nothing works on this page, in place of everything else. */
  tellMissing({ message, command }: IMissing): void {
    this.missing = `${message}\n${command}`;
    this.say('');
  }

  /** Send a message to the object that lives in the server. */
  send(content: unknown): void {
    this.model?.send(content);
  }

  private say(text: string): void {
    this.said.textContent = this.missing || text;
    this.said.hidden = this.said.textContent === '';
  }

  private born = '';
  /** Whether something is in `place`, which may be that of an earlier model. */
  private isDrawn = false;
  private readonly typed: Typed;
  private readonly said = document.createElement('p');
  private readonly place = document.createElement('div');
  private model: RemoteModel | null = null;
  private stops: (() => void)[] = [];
  private missing = '';
}
