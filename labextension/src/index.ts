import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { type Widget } from '@lumino/widgets';

import { addActions } from './actions';
import { Api } from './api';
import { describing } from './arguments';
import { Channel } from './channel';
import { CommandIDs } from './commands';
import { Endpoints } from './endpoints';
import { addFileCommands } from './files';
import { endpointsIcon } from './icon';
import { dragCode } from './drag';
import { insertBelow } from './insert';
import { watchKernels } from './kernels';
import { EndpointMenu } from './menu';
import { shortName } from './listing';
import { tellEvents } from './notifications';
import { MissingPanel, SidePanel } from './panel';
import { Place } from './place';
import { Preferences } from './preferences';
import { runningEndpoints } from './running';
import { missingPart } from './server';
import { StatusItem } from './status';
import { IMLJupyter } from './tokens';
import { formAround } from './view';
import { addViews } from './views';

export type { Api } from './api';
export type { IEndpoint, IImage, IModel, ITarget } from './documents';
export type { Endpoints } from './endpoints';
export type { IEvent } from './listing';
export type { EndpointMenu, IEndpointAction } from './menu';
export type { IMissing } from './server';
export { IMLJupyter } from './tokens';

/** What a wizard sends with its event; whoever has put the code into the notebook says so in `done`. */
interface IInsertion {
  sources: string[];
  done: boolean;
}

const EVENT = 'mljupyter:insert-cell';
/** A wizard asks where its code would go; the answer is the name of a notebook, or '' for none. */
const PLACE_EVENT = 'mljupyter:place-of-code';
const PLACE_CHANGED = 'mljupyter:place-changed';
const MOST_CHARACTERS = 100_000;
const DOMAIN = 'mljupyter';
/** Commands that need a selection, and are not in the palette. */
const HIDDEN: readonly string[] = [
  CommandIDs.openView,
  CommandIDs.buildLog,
  CommandIDs.downloadModel,
  CommandIDs.deleteModel,
  CommandIDs.deleteImage,
  CommandIDs.registerFile,
  CommandIDs.scoreFile
];

/** Whether the detail of an event, which any script of the page may have sent, is what a wizard sends. */
function isInsertion(detail: unknown): detail is IInsertion {
  const { sources, done } = (detail ?? {}) as Partial<IInsertion>;
  return (
    Array.isArray(sources) &&
    sources.every(source => typeof source === 'string') &&
    sources.join('').length <= MOST_CHARACTERS &&
    done === false
  );
}

/** Listens for wizards that have code for the notebook they are in, or for the current one. */
const insertion: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:insert-cell',
  description: 'Puts the code that a wizard writes into new cells.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, tracker: INotebookTracker) => {
    document.addEventListener(EVENT, event => {
      const { detail, target } = event as CustomEvent<unknown>;
      if (!isInsertion(detail) || !(target instanceof Node)) {
        return;
      }
      const around = tracker.find(candidate => candidate.content.node.contains(target));
      const panel = around ?? tracker.currentWidget;
      const outside = around === undefined ? formAround(target) : null;
      detail.done = panel !== null && insertBelow(panel, target, detail.sources, outside);
    });
    document.addEventListener(PLACE_EVENT, event => {
      const { detail, target } = event as CustomEvent<{ place?: unknown } | null>;
      if (detail === null || !(target instanceof Node) || formAround(target) === null) {
        return; // in a notebook, code goes below the cell
      }
      const model = tracker.currentWidget?.content.model;
      const takes = model !== undefined && model !== null && !model.readOnly;
      detail.place = takes ? shortName(tracker.currentWidget?.title.label ?? '') : '';
    });
    tracker.currentChanged.connect(() => {
      document.dispatchEvent(new CustomEvent(PLACE_CHANGED));
    });
  }
};

/** Follows the endpoints of the chosen workspace. */
const service: JupyterFrontEndPlugin<IMLJupyter> = {
  id: 'mljupyter-labextension:service',
  description: 'Follows the endpoints of a workspace.',
  autoStart: true,
  provides: IMLJupyter,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const settings = app.serviceManager.serverSettings;
    const channel = new Channel(settings);
    const api = new Api(settings);
    return {
      api,
      channel,
      endpoints: new Endpoints(channel, api),
      menu: new EndpointMenu(),
      missing: missingPart(api, (translator ?? nullTranslator).load(DOMAIN))
    };
  }
};

/** The commands, the tabs, and the side panel. */
const panel: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:panel',
  description:
    'The side panel with endpoints, models and compute targets, and the tabs that it opens.',
  autoStart: true,
  requires: [IMLJupyter],
  optional: [
    ILabShell,
    ILayoutRestorer,
    ICommandPalette,
    ILauncher,
    ISettingRegistry,
    ITranslator,
    INotebookTracker
  ],
  activate: async (
    app: JupyterFrontEnd,
    mlj: IMLJupyter,
    lab: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null,
    notebooks: INotebookTracker | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const { commands, shell } = app;
    const show = (widget: Widget) => {
      widget.title.icon = endpointsIcon;
      shell.add(widget, 'left', { rank: 650 });
      restorer?.add(widget, widget.id);
    };
    commands.addCommand(CommandIDs.showPanel, {
      label: trans.__('Show endpoints'),
      describedBy: describing(),
      execute: () => {
        shell.activateById('mljupyter-endpoints');
      }
    });
    addActions(commands, mlj, trans);
    const preferences = new Preferences(registry, panel.id);
    addViews(app, mlj, new Place(app, lab !== null), restorer, notebooks, preferences, trans);
    const missing = await mlj.missing;
    if (missing !== null) {
      show(new MissingPanel(missing));
      return;
    }
    // Without the server extension, nothing of this would work.
    if (palette !== null) {
      const category = trans.__('mljupyter');
      Object.values(CommandIDs)
        .filter(command => !HIDDEN.includes(command))
        .forEach(command => {
          palette.addItem({ command, category, args: { isPalette: true } });
        });
    }
    launcher?.add({ command: CommandIDs.deploy, category: trans.__('Other'), rank: 1 });
    await preferences.ready;
    if (preferences.workspace !== '') {
      mlj.endpoints.choose(preferences.workspace);
    }
    show(
      new SidePanel({
        api: mlj.api,
        commands,
        endpoints: mlj.endpoints,
        menu: mlj.menu,
        preferences,
        trans,
        drag: dragCode
      })
    );
    tellEvents(mlj.endpoints, commands, preferences, trans);
    mlj.channel.connect();
  }
};

/** The commands in the menu of the file browser. */
const files: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:files',
  description: 'Registers a model from a file, and deploys a scoring script, in the file browser.',
  autoStart: true,
  requires: [IMLJupyter, IFileBrowserFactory],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    mlj: IMLJupyter,
    browsers: IFileBrowserFactory,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    void mlj.missing.then(missing => {
      if (missing !== null) {
        return; // the wizards that they open could not work
      }
      addFileCommands(app.commands, browsers, trans);
      const selector = '.jp-DirListing-item[data-isdir]';
      app.contextMenu.addItem({ command: CommandIDs.registerFile, selector, rank: 60 });
      app.contextMenu.addItem({ command: CommandIDs.scoreFile, selector, rank: 61 });
    });
  }
};

/** The versions of kernels. */
const kernels: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:kernels',
  description: 'Tells when a notebook uses another version of mljupyter than this page.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ITranslator],
  activate: (_app: JupyterFrontEnd, tracker: INotebookTracker, translator: ITranslator | null) => {
    watchKernels(tracker, (translator ?? nullTranslator).load(DOMAIN));
  }
};

/** The endpoints in the section of what runs. */
const running: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:running',
  description: 'Lists endpoints among what runs, and deletes them there.',
  autoStart: true,
  requires: [IMLJupyter, IRunningSessionManagers],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    mlj: IMLJupyter,
    managers: IRunningSessionManagers,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    managers.add(runningEndpoints(mlj, app.commands, trans));
  }
};

/** The number of endpoints in the status bar. */
const status: JupyterFrontEndPlugin<void> = {
  id: 'mljupyter-labextension:status',
  description: 'The number of endpoints and their worst state in the status bar.',
  autoStart: true,
  requires: [IMLJupyter, IStatusBar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    mlj: IMLJupyter,
    bar: IStatusBar,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    bar.registerStatusItem(status.id, {
      item: new StatusItem(mlj.endpoints, app.commands, trans),
      align: 'left',
      rank: 50,
      isActive: () => mlj.endpoints.rows.size > 0,
      activeStateChanged: mlj.endpoints.changed
    });
  }
};

export default [insertion, service, panel, files, kernels, running, status];
