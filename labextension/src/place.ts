import type { JupyterFrontEnd } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { TabPanel, type Widget } from '@lumino/widgets';

import type { IViewRequest } from './view';

const PARAMETER = 'mljupyter';

/**
 * Where views are shown. JupyterLab has tabs everywhere, Jupyter Notebook only on the page with the files.
 *
 * A page of Jupyter Notebook without tabs opens the one that has them, in a new tab of the browser, with the view in its
 * address: the view is there again when that page is loaded again.
 */
export class Place {
  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly isLab: boolean
  ) {}

  /** Whether this page has tabs for views. */
  get hasTabs(): boolean {
    return this.isLab || this.tabs !== undefined;
  }

  /** Add a view to the tabs of this page, and show it. */
  add(widget: Widget): void {
    if (this.tabs === undefined) {
      this.app.shell.add(widget, 'main');
      this.app.shell.activateById(widget.id);
    } else {
      this.tabs.addWidget(widget);
      this.show(widget);
    }
  }

  /** Show a view that is in a tab of this page. */
  show(widget: Widget): void {
    if (this.tabs === undefined) {
      this.app.shell.activateById(widget.id);
    } else {
      this.tabs.currentWidget = widget;
      widget.activate();
    }
  }

  /** Open a page with tabs that shows a view. */
  openPage(request: IViewRequest): void {
    const query = URLExt.objectToQueryString({ [PARAMETER]: JSON.stringify(request) });
    window.open(URLExt.join(this.app.serviceManager.serverSettings.baseUrl, 'tree') + query);
  }

  /** Return the view in the address of this page; null without one. */
  get asked(): IViewRequest | null {
    const text = new URLSearchParams(window.location.search).get(PARAMETER);
    if (text === null || this.isLab) {
      return null;
    }
    try {
      const { id, kind, workspace, given } = JSON.parse(text) as Partial<IViewRequest>;
      if (id === undefined || kind === undefined || workspace === undefined) {
        return null;
      }
      return { id, kind, workspace, given: given ?? {} };
    } catch {
      return null;
    }
  }

  private get tabs(): TabPanel | undefined {
    if (this.isLab) {
      return undefined;
    }
    return [...this.app.shell.widgets('main')].find(widget => widget instanceof TabPanel);
  }
}
