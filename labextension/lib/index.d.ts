import { type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IMLJupyter } from './tokens';
export { IMLJupyter } from './tokens';
declare const _default: (JupyterFrontEndPlugin<void> | JupyterFrontEndPlugin<IMLJupyter>)[];
export default _default;
