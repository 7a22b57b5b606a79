import { type ILayoutRestorer, type JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { type INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { UUID, type ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { describing } from './arguments';
import { chosenEndpoint } from './choice';
import { CommandIDs } from './commands';
import { endpointsIcon } from './icon';
import { fittedIn } from './kernel';
import { shortName } from './listing';
import type { Place } from './place';
import type { Preferences } from './preferences';
import type { IMLJupyter } from './tokens';
import { type IViewRequest, Modules, View } from './view';

/** Add the commands that open monitors, logs and wizards in tabs, and bring the tabs back after a reload. */
export function addViews(
  app: JupyterFrontEnd,
  mlj: IMLJupyter,
  place: Place,
  restorer: ILayoutRestorer | null,
  notebooks: INotebookTracker | null,
  preferences: Preferences,
  trans: TranslationBundle
): void {
  const { commands } = app;
  const { channel, endpoints } = mlj;
  const modules = new Modules(mlj.api);
  const tracker = new WidgetTracker<MainAreaWidget<View>>({ namespace: 'mljupyter-views' });

  commands.addCommand(CommandIDs.openView, {
    label: trans.__('Open a view of mljupyter'),
    describedBy: describing({
      id: trans.__('An id that no other tab has'),
      kind: trans.__('The kind of the view'),
      workspace: trans.__('The workspace')
    }),
    isVisible: () => false,
    execute: args => {
      const request = args as unknown as IViewRequest;
      if (!place.hasTabs) {
        place.openPage(request);
        return;
      }
      const { name } = request.given;
      const content = new View(request, channel, modules, trans, view =>
        request.kind === 'deploy' && notebooks !== null ? offerFitted(view, notebooks) : undefined
      );
      void mlj.missing.then(missing => {
        if (missing !== null) {
          content.tellMissing(missing);
        }
      });
      const widget = new MainAreaWidget({ content });
      widget.toolbar.hide();
      widget.id = `mljupyter-${request.id}`;
      const title = titles(trans)[request.kind] ?? request.kind;
      widget.title.label = name === undefined ? title : `${title}: ${name}`;
      widget.title.icon = endpointsIcon;
      widget.title.closable = true;
      place.add(widget);
      void tracker.add(widget);
    }
  });
  if (restorer !== null) {
    void restorer.restore(tracker, {
      command: CommandIDs.openView,
      args: widget => widget.content.request as unknown as ReadonlyPartialJSONObject,
      name: widget => widget.content.request.id
    });
  }
  void app.restored.then(() => {
    const { asked } = place;
    if (asked !== null && place.hasTabs) {
      void commands.execute(CommandIDs.openView, asked as unknown as ReadonlyPartialJSONObject);
    }
  });

  const open = (kind: string, given: IViewRequest['given']) => {
    const workspace = endpoints.workspace || preferences.workspace; // the panel may not have chosen it yet
    const known = tracker.find(({ content: { request } }) => {
      const same = request.kind === kind && request.workspace === workspace;
      return same && request.given.name === given.name && given.name !== undefined;
    });
    if (known !== undefined) {
      place.show(known);
      return;
    }
    const request: IViewRequest = { id: UUID.uuid4(), kind, workspace, given };
    void commands.execute(CommandIDs.openView, request as unknown as ReadonlyPartialJSONObject);
  };

  const ofEndpoint = (
    id: string,
    kind: string,
    isVisible: (name: string) => boolean = () => true,
    chosen: () => IViewRequest['given'] = () => ({})
  ) => {
    commands.addCommand(id, {
      label: args =>
        args.isPalette
          ? trans.__('%1 of an endpoint …', titles(trans)[kind])
          : (titles(trans)[kind] ?? ''),
      isVisible: args => typeof args.name !== 'string' || isVisible(args.name),
      describedBy: describing({ name: trans.__('The endpoint') }),
      execute: async args => {
        const name = await chosenEndpoint(endpoints, args, trans);
        await preferences.ready;
        if (name !== null) {
          open(kind, { name, ...chosen() });
        }
      }
    });
  };
  commands.addCommand(CommandIDs.buildLog, {
    label: trans.__('Build log'),
    describedBy: describing({ image: trans.__('The image, as NAME:VERSION') }),
    execute: args => {
      if (typeof args.image === 'string') {
        open('build', { name: args.image });
      }
    }
  });
  const hasVersions = (name: string) => (endpoints.rows.get(name)?.versions.length ?? 0) > 1;
  ofEndpoint(CommandIDs.monitor, 'monitor', undefined, () => ({
    seconds: String(preferences.metricsSeconds)
  }));
  ofEndpoint(CommandIDs.logs, 'logs');
  ofEndpoint(CommandIDs.tryIt, 'try');
  ofEndpoint(CommandIDs.history, 'history');
  ofEndpoint(CommandIDs.compare, 'comparison', hasVersions);
  ofEndpoint(CommandIDs.traffic, 'traffic', hasVersions);

  const wizard = (id: string, kind: string) => {
    commands.addCommand(id, {
      label: titles(trans)[kind],
      caption: trans.__('mljupyter: %1', titles(trans)[kind]),
      icon: args => (args.isPalette ? undefined : endpointsIcon),
      describedBy: describing({
        model: trans.__('The model, as NAME:VERSION'),
        path: trans.__('The file of a model'),
        score: trans.__('The file of a scoring script'),
        to: trans.__('The compute target')
      }),
      execute: async args => {
        await preferences.ready; // by its keys, it may be opened as soon as the page is there
        const given: IViewRequest['given'] = {};
        for (const key of ['model', 'path', 'score', 'to'] as const) {
          const value = args[key];
          if (typeof value === 'string') {
            given[key] = value;
          }
        }
        if (kind === 'deploy' && preferences.target !== '') {
          given.to ??= preferences.target;
        }
        open(kind, given);
      }
    });
  };
  wizard(CommandIDs.deploy, 'deploy');
  wizard(CommandIDs.register, 'register');
  wizard(CommandIDs.attach, 'attach');
}

/** The states of a kernel that has lost its variables. */
const LOST: readonly string[] = ['restarting', 'autorestarting', 'terminating', 'dead'];

/**
 * Offer a wizard the fitted estimators of the current notebook, and of those that become it. It hears of later cells of
 * these notebooks, and of the end of their kernels, until the returned function is called.
 */
function offerFitted(view: View, notebooks: INotebookTracker): () => void {
  const ends = new Map<NotebookPanel, () => void>();
  const asked = new Set<NotebookPanel>();
  const tell = (panel: NotebookPanel, estimators: Record<string, string>) => {
    if (!view.isDisposed) {
      view.send({ kind: 'fitted', place: shortName(panel.title.label), estimators });
    }
  };
  const ask = (panel: NotebookPanel) => {
    if (asked.has(panel)) {
      return; // the answer comes after the cells that run now
    }
    asked.add(panel);
    void fittedIn(panel).then(estimators => {
      asked.delete(panel);
      if (estimators !== null) {
        tell(panel, estimators);
      }
    });
  };
  const offer = (_: unknown, panel: NotebookPanel | null) => {
    if (panel === null) {
      return;
    }
    ask(panel);
    if (ends.has(panel)) {
      return;
    }
    const { sessionContext } = panel;
    const onStatus = () => {
      if (LOST.includes(sessionContext.kernelDisplayStatus)) {
        tell(panel, {});
      }
    };
    const onKernel = (_: unknown, { oldValue }: { oldValue?: unknown }) => {
      if (oldValue) {
        tell(panel, {});
      }
    };
    sessionContext.statusChanged.connect(onStatus);
    sessionContext.kernelChanged.connect(onKernel);
    ends.set(panel, () => {
      sessionContext.statusChanged.disconnect(onStatus);
      sessionContext.kernelChanged.disconnect(onKernel);
    });
    panel.disposed.connect(() => ends.delete(panel));
  };
  const onExecuted = (_: unknown, { notebook }: { notebook: unknown }) => {
    [...ends.keys()].filter(({ content }) => content === notebook).forEach(ask);
  };
  offer(notebooks, notebooks.currentWidget);
  notebooks.currentChanged.connect(offer);
  NotebookActions.executed.connect(onExecuted);
  return () => {
    notebooks.currentChanged.disconnect(offer);
    NotebookActions.executed.disconnect(onExecuted);
    ends.forEach(end => {
      end();
    });
    ends.clear();
  };
}

function titles(trans: TranslationBundle): Record<string, string> {
  return {
    monitor: trans.__('Monitor'),
    logs: trans.__('Logs'),
    try: trans.__('Try it'),
    history: trans.__('History'),
    build: trans.__('Build log'),
    comparison: trans.__('Compare versions'),
    traffic: trans.__('Shift traffic'),
    deploy: trans.__('Deploy a model'),
    register: trans.__('Register a model'),
    attach: trans.__('Attach a cluster')
  };
}
