import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
/** Listens for wizards that have code for the notebook they are in. */
declare const plugin: JupyterFrontEndPlugin<void>;
export default plugin;
