import { LabIcon } from '@jupyterlab/ui-components';

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161"
    d="M4 5h6v5H8.500v3H15.500v-1H20v6h-6v-3H6.500v-5H4zM6 7v1h2V7zm10 7v2h2v-2z"/>
</svg>`;

/** The icon of the side panel, of tabs and of the card in the launcher. */
export const endpointsIcon = new LabIcon({ name: 'mljupyter:endpoints', svgstr: svg });
